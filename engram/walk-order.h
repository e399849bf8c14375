/*
 * The order of a walk that visits names in byte order, and what is in a directory right
 * behind it.
 */
#ifndef EMBR_ENGRAM_WALK_ORDER_H
#define EMBR_ENGRAM_WALK_ORDER_H

/* Below, equal to or above 0, for two paths of one volume. */
int walk_order_compare(const char *a, const char *b);

#endif
