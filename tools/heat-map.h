/*
 * A matrix as a picture.
 */
#ifndef EMBR_TOOLS_HEAT_MAP_H
#define EMBR_TOOLS_HEAT_MAP_H

#include <glib.h>

typedef struct HeatMap {
    const char *title;
    unsigned n;             /* rows and columns, at least 1 */
    char *const *names;     /* of rows, and of columns: any bytes */
    const double *values;   /* row by row, 0 to 1 */
} HeatMap;

/* Appends an SVG document. */
void heat_map_append_svg(const HeatMap *map, GString *out);

#endif
