"""Kernels that only other kernels call: optimised and made machine code of within each of those, never by themselves.

Numba would do both for every one of them, and again for all that it calls within each of its callers.
"""

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class Draft(JITCodeLibrary):
    """A kernel in LLVM's language, with what it calls, as it was written down."""

    @property
    def codegen(self):
        """Who is told of the kernel's environment, which is an address in machine code: nobody needs to be."""
        return self

    def set_env(self, name, env):
        """There is no such address."""

    def get_pointer_to_function(self, name):
        """No machine code, no address: 0, as Numba has it for what isn't there."""
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
    """A draft that stays a function of its own, whoever calls it."""

    def add_ir_module(self, ir_module):
        """Mark the functions as noinline before parsing. After it, llvmlite before 0.48 would mark the return value."""
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)


class Drafting(Compiler):
    """Numba's compiler, as far as to a draft."""

    draft = Draft

    def compile_extra(self, func):
        """What is known of the function once it is compiled."""
        self.state.library = self.draft(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


class DraftingWhole(Drafting):
    """The same of functions that stay their own."""

    draft = Whole
