#include "../common.h"

int run_tests(const char *name, const TTest *const *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        printf("%s: %s\n", name, tests[i]->name);
        fflush(stdout);
        tests[i]->run();
    }
    return 0;
}
