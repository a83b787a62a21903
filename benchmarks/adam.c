/* Adam in one pass over memory, as a C programmer writes it: the time that the others are compared with. */
#include <math.h>
#include <stddef.h>

void adam(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n, float rate,
          float b1, float b2, float eps, float lost1, float lost2) {
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++) {
        m[i] += (1 - b1) * (g[i] - m[i]);
        v[i] += (1 - b2) * (g[i] * g[i] - v[i]);
        p[i] -= rate * (m[i] / lost1) / (sqrtf(v[i] / lost2) + eps);
    }
}
