"""Compilation of kernels that only other kernels call: they stay drafts, and LLVM optimises them within their callers.

Otherwise Numba would optimise each of them alone, and again within each of its callers.
"""

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class Draft(JITCodeLibrary):
    """A kernel and what it calls, as LLVM code that isn't optimised."""

    @property
    def codegen(self):
        """Return this object, which Numba then tells the kernel's environment. A draft needs none."""
        return self

    def set_env(self, name, env):
        """Do nothing, because a draft has no environment."""

    def get_pointer_to_function(self, name):
        """Return 0, as Numba does for a function without machine code."""
        self._ensure_finalized()
        return 0

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


class Whole(Draft):
    """A draft that is never inlined."""

    def add_ir_module(self, ir_module):
        """Mark the functions as noinline before parsing. After it, llvmlite before 0.48 would mark the return value."""
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)


class Drafting(Compiler):
    """Numba's compiler, which stops at a draft."""

    draft = Draft

    def compile_extra(self, func):
        """Compile the function to a draft."""
        self.state.library = self.draft(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


class DraftingWhole(Drafting):
    """The same for functions that are never inlined."""

    draft = Whole
