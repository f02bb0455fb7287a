"""The tokenisation, once: compiled kernels that read Arrow strings in place."""
