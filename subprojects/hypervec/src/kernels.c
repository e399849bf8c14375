#include "kernels.h"

/* A processor that can run one of these can run all that follow. */
static const HypervecKernel *const all_kernels[] = {
#ifdef HYPERVEC_HAVE_AVX512
    &hypervec_kernel_avx512_vpopcntdq,
    &hypervec_kernel_avx512,
#endif
#if defined(__x86_64__)
    &hypervec_kernel_avx2,
#endif
#ifdef HYPERVEC_HAVE_NEON
    &hypervec_kernel_neon,
#endif
    &hypervec_kernel_portable,
    NULL,
};

const HypervecKernel *const *hypervec_kernels(void)
{
    const HypervecKernel *const *kernel = all_kernels;

    while (!(*kernel)->supported()) {
        kernel++;
    }
    return kernel;
}

const char *hypervec_kernel_name(const HypervecKernel *kernel)
{
    return kernel->name;
}
