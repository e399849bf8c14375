#include "engram/walk-order.h"

#include <glib.h>

int walk_order_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    int ca = *a == '/' ? 1 : (guint8)*a + (*a != '\0');
    int cb = *b == '/' ? 1 : (guint8)*b + (*b != '\0');
    return ca - cb;
}
