"""The C functions of an exported network, written for float. `in_double` makes those for double."""

from __future__ import annotations

import re
from collections.abc import Collection

from .._kernels.constants import GELU_CUBIC, GELU_INNER, LEAK, MISH_END, SELU_ALPHA, SELU_SCALE

SUFFIXED = re.compile(r"\b(\d+(?:\.\d*)?(?:e[+-]?\d+)?)f\b|\b(exp|expm1|log1p|tanh|erfc|cos|sin|sqrt)f\b")

# f(z) of each activation but softmax, as an expression of z
CURVES = {
    "sigmoid": "1.0f / (1.0f + expf(-z))",
    "tanh": "tanhf(z)",
    "relu": "z > 0.0f ? z : 0.0f",
    "leaky_relu": f"z > 0.0f ? z : {LEAK}f * z",
    "elu": "z > 0.0f ? z : expm1f(z)",
    "selu": f"{SELU_SCALE}f * (z > 0.0f ? z : {SELU_ALPHA}f * expm1f(z))",
    "gelu": "0.5f * z * erfcf(-0.7071067811865476f * z)",
    "gelu_tanh": f"z / (1.0f + expf({-2 * GELU_INNER}f * z * (1.0f + {GELU_CUBIC}f * z * z)))",
    "silu": "z / (1.0f + expf(-z))",
    "mish": "z * (e * (e + 2.0f) / (e * (e + 2.0f) + 2.0f))",
    "softplus": "(z > 0.0f ? z : 0.0f) + log1pf(expf(z > 0.0f ? -z : z))",
    "softsign": "z / (1.0f + (z > 0.0f ? z : -z))",
    "hard_sigmoid": "z > 3.0f ? 1.0f : z > -3.0f ? (z + 3.0f) / 6.0f : 0.0f",
    "hard_tanh": "z > 1.0f ? 1.0f : z > -1.0f ? z : -1.0f",
    "exponential": "expf(z)",
}
FIRST = {  # what an expression needs before it
    "mish": f"const float e = expf(z < {MISH_END}f ? z : {MISH_END}f);",
}

FUNCTIONS = {
    "affine": """
/* y = W x + b, for W with n_out rows of n_in numbers. Four sums are faster than one, and more precise. */
static void affine(const float *w, const float *b, int n_in, int n_out, const float *x, float *y)
{
    int j, k;

    for (j = 0; j < n_out; j++) {
        float s0 = b ? b[j] : 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        for (k = 0; k + 3 < n_in; k += 4) {
            s0 += w[k] * x[k];
            s1 += w[k + 1] * x[k + 1];
            s2 += w[k + 2] * x[k + 2];
            s3 += w[k + 3] * x[k + 3];
        }
        for (; k < n_in; k++)
            s0 += w[k] * x[k];
        y[j] = (s0 + s1) + (s2 + s3);
        w += n_in;
    }
}
""",
    "affine_int8": """
/* y = W x + b, for W with n_out rows of n_in integers, whose products with x have the scale `factor`. */
static void affine_int8(const int8_t *w, const float *factor, const float *b, int n_in, int n_out, const int8_t *x,
                        float *y)
{
    int j, k;

    for (j = 0; j < n_out; j++) {
        int32_t sum = 0;
        for (k = 0; k < n_in; k++)
            sum += (int32_t)w[k] * x[k];
        y[j] = (float)sum * factor[j] + b[j];
        w += n_in;
    }
}
""",
    "rounded": """
/* The nearest integer of int8_t. */
static int8_t rounded(float v)
{
    if (!(v > -127.5f))
        return -128;
    if (v > 126.5f)
        return 127;
    return (int8_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
}
""",
    "quantize": """
static void quantize(const float *x, float inverse, float zero, int n, int8_t *q)
{
    int k;

    for (k = 0; k < n; k++)
        q[k] = rounded(x[k] * inverse + zero);
}
""",
    "quantize_columns": """
/* Each column has its own center and scale. */
static void quantize_columns(const float *x, const float *center, const float *inverse, int n, int8_t *q)
{
    int k;

    for (k = 0; k < n; k++)
        q[k] = rounded((x[k] - center[k]) * inverse[k]);
}
""",
    "standardize": """
/* y = (x - mean) / deviation. The mean is a sum of two numbers, so that large ones lose no digits. */
static void standardize(const float *x, const float *mean, const float *rest, const float *inverse, int n, float *y)
{
    int k;

    for (k = 0; k < n; k++)
        y[k] = ((x[k] - mean[k]) - rest[k]) * inverse[k];
}
""",
    "unstandardize": """
static void unstandardize(float *y, const float *mean, const float *deviation, int n)
{
    int j;

    for (j = 0; j < n; j++)
        y[j] = y[j] * deviation[j] + mean[j];
}
""",
    "softmax": """
static void softmax(float *z, int n)
{
    float largest = z[0], sum = 0.0f;
    int j;

    for (j = 1; j < n; j++)
        if (z[j] > largest)
            largest = z[j];
    for (j = 0; j < n; j++) {
        z[j] = expf(z[j] - largest);
        sum += z[j];
    }
    for (j = 0; j < n; j++)
        z[j] /= sum;
}
""",
    "copy": """
static void copy(const float *x, int n, float *y)
{
    int k;

    for (k = 0; k < n; k++)
        y[k] = x[k];
}
""",
    "add": """
static void add(const float *x, int n, float *y)
{
    int k;

    for (k = 0; k < n; k++)
        y[k] += x[k];
}
""",
    "scale": """
static void scale(const float *x, const float *s, int n, float *y)
{
    int k;

    for (k = 0; k < n; k++)
        y[k] = s[k] * x[k];
}
""",
    "layer_norm": """
static void layer_norm(const float *x, const float *gamma, const float *beta, float epsilon, int n, float *y)
{
    float mean = 0.0f, variance = 0.0f, inverse;
    int k;

    for (k = 0; k < n; k++)
        mean += x[k];
    mean /= (float)n;
    for (k = 0; k < n; k++)
        variance += (x[k] - mean) * (x[k] - mean);
    inverse = 1.0f / sqrtf(variance / (float)n + epsilon);
    for (k = 0; k < n; k++)
        y[k] = gamma[k] * ((x[k] - mean) * inverse) + beta[k];
}
""",
    "batch_norm": """
/* With the running mean of training. The factor is gamma / sqrt(variance + epsilon). */
static void batch_norm(const float *x, const float *mean, const float *factor, const float *beta, int n, float *y)
{
    int k;

    for (k = 0; k < n; k++)
        y[k] = (x[k] - mean[k]) * factor[k] + beta[k];
}
""",
    "embed": """
/* y = a row of the table: that of category `code`, or the nearest one that there is. */
static void embed(float code, const float *table, long n_rows, int n, float *y)
{
    const long row = !(code >= 1.0f) ? 0 : code >= (float)n_rows ? n_rows - 1 : (long)code;
    int k;

    for (k = 0; k < n; k++)
        y[k] = table[row * n + k];
}
""",
    "pbld": """
/* For each number x: x, and W2 cos(2 pi x frequency + phase) + b2. */
static void pbld(const float *x, const float *frequency, const float *phase, const float *w, const float *b, int n,
                 int n_out, int n_frequencies, float *y)
{
    int i, j, k;

    for (i = 0; i < n; i++) {
        *y++ = x[i];
        for (j = 0; j < n_out; j++)
            y[j] = b[j];
        for (k = 0; k < n_frequencies; k++) {
            const float c = cosf(6.283185307179586f * x[i] * frequency[k] + phase[k]);
            for (j = 0; j < n_out; j++)
                y[j] += w[j * n_frequencies + k] * c;
        }
        frequency += n_frequencies;
        phase += n_frequencies;
        w += n_out * n_frequencies;
        b += n_out;
        y += n_out;
    }
}
""",
    "periodic": """
/* For each number x: the sines of 2 pi x frequency, then the cosines. */
static void periodic(const float *x, const float *frequency, int n, int n_frequencies, float *y)
{
    int i, k;

    for (i = 0; i < n; i++) {
        for (k = 0; k < n_frequencies; k++) {
            const float angle = 6.283185307179586f * x[i] * frequency[k];
            y[k] = sinf(angle);
            y[n_frequencies + k] = cosf(angle);
        }
        frequency += n_frequencies;
        y += 2 * n_frequencies;
    }
}
""",
    "piecewise": """
/* For each number x: the share of each bin that lies below it. The first and the last bin are open. */
static void piecewise(const float *x, const float *edges, int n, int n_bins, float *y)
{
    int i, k;

    for (i = 0; i < n; i++) {
        for (k = 0; k < n_bins; k++) {
            float share = (x[i] - edges[k]) / (edges[k + 1] - edges[k]);
            if (k > 0 && !(share > 0.0f))
                share = 0.0f;
            if (k < n_bins - 1 && share > 1.0f)
                share = 1.0f;
            y[k] = share;
        }
        edges += n_bins + 1;
        y += n_bins;
    }
}
""",
    "answer_gaussian_nll": """
/* From means and log variances to means and standard deviations. */
static void answer_gaussian_nll(float *y, int n)
{
    int j;

    for (j = 0; j < n; j++)
        y[n + j] = expf(0.5f * y[n + j]);
}
""",
    "answer_negative_binomial": """
/* From log means and log dispersions to means and standard deviations. */
static void answer_negative_binomial(float *y, int n)
{
    int j;

    for (j = 0; j < n; j++) {
        const float mean = expf(y[j]);
        y[n + j] = sqrtf(mean + expf(y[n + j]) * mean * mean);
        y[j] = mean;
    }
}
""",
    "mean_of_answers": """
/* The means of the members' answers, and then their standard deviations. */
static void mean_of_answers(const float *a, int n_members, int n, float *y)
{
    int i, j;

    for (j = 0; j < n; j++) {
        float mean = 0.0f, sum = 0.0f;
        for (i = 0; i < n_members; i++)
            mean += a[i * n + j];
        mean /= (float)n_members;
        for (i = 0; i < n_members; i++)
            sum += (a[i * n + j] - mean) * (a[i * n + j] - mean);
        y[j] = mean;
        y[n + j] = sqrtf(sum / (float)(n_members - 1));
    }
}
""",
    "mean_of_distributions": """
/* The means and the standard deviations of mixtures of the members' distributions. */
static void mean_of_distributions(const float *a, int n_members, int n, float *y)
{
    int i, j;

    for (j = 0; j < n; j++) {
        float mean = 0.0f, sum = 0.0f;
        for (i = 0; i < n_members; i++)
            mean += a[2 * i * n + j];
        mean /= (float)n_members;
        for (i = 0; i < n_members; i++) {
            const float difference = a[2 * i * n + j] - mean, std = a[(2 * i + 1) * n + j];
            sum += difference * difference + std * std;
        }
        y[j] = mean;
        y[n + j] = sqrtf(sum / (float)n_members);
    }
}
""",
}
NEEDS = {"quantize": ("rounded",), "quantize_columns": ("rounded",)}


def curve(name: str) -> str:
    """Return the C function of an activation other than softmax."""
    first = f"        {FIRST[name]}\n" if name in FIRST else ""
    return f"""
static void apply_{name}(float *a, int n)
{{
    int j;

    for (j = 0; j < n; j++) {{
        const float z = a[j];
{first}        a[j] = {CURVES[name]};
    }}
}}
"""


def curve_with_alpha(name: str) -> str:
    """Return the C function of an activation with a parameter for each unit: a = z + alpha (f(z) - z)."""
    first = f"        {FIRST[name]}\n" if name in FIRST else ""
    return f"""
static void apply_{name}_with_alpha(float *a, const float *alpha, int n)
{{
    int j;

    for (j = 0; j < n; j++) {{
        const float z = a[j];
{first}        a[j] = z + alpha[j] * (({CURVES[name]}) - z);
    }}
}}
"""


def text_of(names: Collection[str]) -> str:
    """Return the C functions of these names, those that others need first."""
    needed = [need for name in names for need in NEEDS.get(name, ())]
    found = []
    for name in dict.fromkeys([*needed, *sorted(names)]):
        plain = name.removesuffix("_with_alpha")
        if name in FUNCTIONS:
            found.append(FUNCTIONS[name])
        else:
            found.append(curve(name) if plain == name else curve_with_alpha(plain))
    return "".join(found)


def in_double(text: str) -> str:
    """Return C code for double in place of float."""
    return re.sub(r"\bfloat\b", "double", SUFFIXED.sub(lambda match: match[1] or match[2], text))


def needs_math(text: str) -> bool:
    """Return whether C code calls functions of math.h."""
    return re.search(r"\b(exp|expm1|log1p|tanh|erfc|cos|sin|sqrt|floor)f?\(", text) is not None
