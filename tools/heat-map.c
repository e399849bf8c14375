#include "heat-map.h"

#include "util/text.h"

enum {
    CELL = 44, /* pixels, where a value fits in */
    CELL_SMALL = 14,
    VALUES_MAX = 24, /* more columns have no room for values */
    FONT = 12,
    CHAR_PIXELS = 7, /* of most characters of that size */
    LABEL_CHARS_MAX = 40,
    MARGIN = 16,
    TITLE = 28,
    LEGEND_WIDTH = 16,
    LEGEND_HEIGHT = 160,
    LEGEND_STEPS = 5,
};

/* From what is unlike to what is the same: dark to light, also for eyes that see no
 * difference between red and green. */
static const struct {
    double at;
    int red, green, blue;
} scale[] = {
    {0.00, 68, 1, 84},     {0.25, 59, 82, 139},   {0.50, 33, 145, 140},
    {0.75, 94, 201, 98},   {1.00, 253, 231, 37},
};

typedef struct Layout {
    unsigned cell;
    unsigned left, top; /* of the first cell */
    unsigned side;      /* of all cells */
    unsigned width, height;
} Layout;

static int mix(int from, int to, double part)
{
    return (int)(from + (to - from) * part + 0.5);
}

static void append_color(GString *out, double value)
{
    unsigned i = 0;

    while (i + 2 < G_N_ELEMENTS(scale) && value > scale[i + 1].at) {
        i++;
    }
    double part = (value - scale[i].at) / (scale[i + 1].at - scale[i].at);
    part = CLAMP(part, 0, 1);
    g_string_append_printf(out, "#%02x%02x%02x",
                           mix(scale[i].red, scale[i + 1].red, part),
                           mix(scale[i].green, scale[i + 1].green, part),
                           mix(scale[i].blue, scale[i + 1].blue, part));
}

/* Numbers have a point, whatever the locale says. */
static void append_number(GString *out, double value, const char *format)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(out, g_ascii_formatd(text, sizeof(text), format, value));
}

/* As text of the document, cut to what there is room for: the end tells more. */
static void append_label(GString *out, const char *name)
{
    g_autofree char *printable = text_printable(name, TEXT_MASKED);
    glong chars = g_utf8_strlen(printable, -1);
    const char *shown = printable;

    if (chars > LABEL_CHARS_MAX) {
        shown = g_utf8_offset_to_pointer(printable, chars - LABEL_CHARS_MAX + 1);
        g_string_append(out, "…");
    }
    g_autofree char *escaped = g_markup_escape_text(shown, -1);
    g_string_append(out, escaped);
}

/* All of it, for who points at a cell. */
static void append_full(GString *out, const char *name)
{
    g_autofree char *printable = text_printable(name, TEXT_MASKED);
    g_autofree char *escaped = g_markup_escape_text(printable, -1);

    g_string_append(out, escaped);
}

static unsigned label_width(const HeatMap *map)
{
    glong most = 0;

    for (unsigned i = 0; i < map->n; i++) {
        g_autofree char *printable = text_printable(map->names[i], TEXT_MASKED);

        most = MAX(most, g_utf8_strlen(printable, -1));
    }
    return MIN(most, LABEL_CHARS_MAX) * CHAR_PIXELS + 8;
}

static Layout lay_out(const HeatMap *map)
{
    unsigned labels = label_width(map);
    Layout l = {.cell = map->n > VALUES_MAX ? CELL_SMALL : CELL};

    l.left = MARGIN + labels;
    l.top = MARGIN + TITLE + labels;
    l.side = l.cell * map->n;
    l.width = l.left + l.side + 2 * MARGIN + LEGEND_WIDTH + 6 * CHAR_PIXELS + MARGIN;
    l.width = MAX(l.width, g_utf8_strlen(map->title, -1) * (CHAR_PIXELS + 2) + 2 * MARGIN);
    l.height = l.top + MAX(l.side, LEGEND_HEIGHT) + 2 * MARGIN;
    return l;
}

static void append_cell(const HeatMap *map, const Layout *l, unsigned row, unsigned column,
                        GString *out)
{
    double value = map->values[(size_t)row * map->n + column];
    unsigned x = l->left + column * l->cell, y = l->top + row * l->cell;

    g_string_append_printf(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"",
                           x, y, l->cell, l->cell);
    append_color(out, value);
    g_string_append(out, "\"><title>");
    append_full(out, map->names[row]);
    g_string_append(out, " – ");
    append_full(out, map->names[column]);
    g_string_append(out, ": ");
    append_number(out, value, "%.4f");
    g_string_append(out, "</title></rect>\n");
    if (l->cell == CELL) {
        g_string_append_printf(out, "<text class=\"value\" x=\"%u\" y=\"%u\" fill=\"%s\">",
                               x + l->cell / 2, y + l->cell / 2 + 4,
                               value < 0.55 ? "#ffffff" : "#000000");
        append_number(out, value, "%.2f");
        g_string_append(out, "</text>\n");
    }
}

static void append_labels(const HeatMap *map, const Layout *l, GString *out)
{
    for (unsigned i = 0; i < map->n; i++) {
        unsigned middle = i * l->cell + l->cell / 2 + 4;

        g_string_append_printf(out, "<text class=\"row\" x=\"%u\" y=\"%u\">", l->left - 6,
                               l->top + middle);
        append_label(out, map->names[i]);
        g_string_append_printf(
            out, "</text>\n<text transform=\"translate(%u %u) rotate(-90)\">",
            l->left + middle, l->top - 6);
        append_label(out, map->names[i]);
        g_string_append(out, "</text>\n");
    }
}

static void append_legend(const Layout *l, GString *out)
{
    unsigned x = l->left + l->side + 2 * MARGIN;

    g_string_append(out, "<defs><linearGradient id=\"scale\" x1=\"0\" y1=\"1\" x2=\"0\" "
                         "y2=\"0\">\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(scale); i++) {
        g_string_append(out, "<stop offset=\"");
        append_number(out, scale[i].at, "%.2f");
        g_string_append(out, "\" stop-color=\"");
        append_color(out, scale[i].at);
        g_string_append(out, "\"/>\n");
    }
    g_string_append_printf(out,
                           "</linearGradient></defs>\n<rect x=\"%u\" y=\"%u\" width=\"%d\" "
                           "height=\"%d\" fill=\"url(#scale)\"/>\n",
                           x, l->top, LEGEND_WIDTH, LEGEND_HEIGHT);
    for (unsigned i = 0; i < LEGEND_STEPS; i++) {
        double value = (double)i / (LEGEND_STEPS - 1);

        g_string_append_printf(out, "<text x=\"%u\" y=\"%u\">", x + LEGEND_WIDTH + 6,
                               (unsigned)(l->top + LEGEND_HEIGHT * (1 - value)) + 4);
        append_number(out, value, "%.2f");
        g_string_append(out, "</text>\n");
    }
}

void heat_map_append_svg(const HeatMap *map, GString *out)
{
    Layout l = lay_out(map);
    g_autofree char *title = g_markup_escape_text(map->title, -1);

    g_string_append_printf(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
        "viewBox=\"0 0 %u %u\">\n<title>%s</title>\n"
        "<style>text { font: %dpx sans-serif } "
        ".value { text-anchor: middle } .row { text-anchor: end } "
        ".heading { font-size: 15px; font-weight: bold }</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
        "<text class=\"heading\" x=\"%d\" y=\"%d\">%s</text>\n",
        l.width, l.height, l.width, l.height, title, FONT, MARGIN, MARGIN + FONT, title);
    append_labels(map, &l, out);
    for (unsigned row = 0; row < map->n; row++) {
        for (unsigned column = 0; column < map->n; column++) {
            append_cell(map, &l, row, column, out);
        }
    }
    append_legend(&l, out);
    g_string_append(out, "</svg>\n");
}
