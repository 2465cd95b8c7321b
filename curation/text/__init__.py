"""Pure text kernels on UTF-8 buffers: numpy and numba only, no Arrow, no settings, no I/O."""
