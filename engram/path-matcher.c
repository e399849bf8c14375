#include "engram/path-matcher.h"

#include <string.h>

/*
 * Patterns hang in one of two trees of bytes, by what stands before their first
 * wildcard or behind their last one, whichever is longer: so a path meets only those
 * that its beginning or its end fits.
 */
enum { NO_NODE = 0, ROOT = 0 };

typedef struct Pattern {
    char *text;                 /* NULL: whatever comes to its node matches */
    int rank;
    int next;                   /* at the same node; -1: none */
} Pattern;

typedef struct Node {
    char byte;
    int child, sibling;         /* NO_NODE: none */
    int patterns;               /* the first; -1: none */
} Node;

typedef struct Tree {
    GArray *nodes;              /* Node; the first is the root */
} Tree;

struct PathMatcher {
    Tree prefixes, suffixes;
    GArray *patterns;
};

static void free_pattern(gpointer data)
{
    g_free(((Pattern *)data)->text);
}

static int new_node(Tree *tree, char byte)
{
    Node node = { .byte = byte, .child = NO_NODE, .sibling = NO_NODE, .patterns = -1 };

    g_array_append_val(tree->nodes, node);
    return tree->nodes->len - 1;
}

static void init_tree(Tree *tree)
{
    tree->nodes = g_array_new(FALSE, FALSE, sizeof(Node));
    new_node(tree, 0);
}

PathMatcher *path_matcher_new(void)
{
    PathMatcher *m = g_new0(PathMatcher, 1);

    init_tree(&m->prefixes);
    init_tree(&m->suffixes);
    m->patterns = g_array_new(FALSE, FALSE, sizeof(Pattern));
    g_array_set_clear_func(m->patterns, free_pattern);
    return m;
}

void path_matcher_free(PathMatcher *m)
{
    if (!m) {
        return;
    }
    g_array_free(m->prefixes.nodes, TRUE);
    g_array_free(m->suffixes.nodes, TRUE);
    g_array_free(m->patterns, TRUE);
    g_free(m);
}

static Node *node_at(const Tree *tree, int index)
{
    return &g_array_index(tree->nodes, Node, index);
}

static const Pattern *pattern_at(const PathMatcher *m, int index)
{
    return &g_array_index(m->patterns, Pattern, index);
}

static int find_child(const Tree *tree, int parent, char byte)
{
    int child = node_at(tree, parent)->child;

    while (child != NO_NODE && node_at(tree, child)->byte != byte) {
        child = node_at(tree, child)->sibling;
    }
    return child;
}

static int find_or_add_child(Tree *tree, int parent, char byte)
{
    int child = find_child(tree, parent, byte);

    if (child == NO_NODE) {
        child = new_node(tree, byte);
        node_at(tree, child)->sibling = node_at(tree, parent)->child;
        node_at(tree, parent)->child = child;
    }
    return child;
}

/* The node of a text of len bytes that is read in steps of step. */
static int add_nodes(Tree *tree, const char *text, size_t len, int step)
{
    int node = ROOT;

    for (; len > 0; len--, text += step) {
        node = find_or_add_child(tree, node, *text);
    }
    return node;
}

void path_matcher_add(PathMatcher *m, const char *pattern, int rank)
{
    size_t len = strlen(pattern), before = strcspn(pattern, "*?"), behind = 0;
    Pattern added = { .rank = rank };
    bool is_whole_rest;
    Node *node;

    while (behind < len && !strchr("*?", pattern[len - 1 - behind])) {
        behind++;
    }
    /* Without a wildcard, all of it stands before one. */
    if (before >= behind) {
        is_whole_rest = strcmp(pattern + before, "*") == 0;
        node = node_at(&m->prefixes, add_nodes(&m->prefixes, pattern, before, 1));
    } else {
        is_whole_rest = len - behind == 1 && pattern[0] == '*';
        node = node_at(&m->suffixes,
                       add_nodes(&m->suffixes, pattern + len - 1, behind, -1));
    }
    added.text = is_whole_rest ? NULL : g_strdup(pattern);
    added.next = node->patterns;
    node->patterns = m->patterns->len;
    g_array_append_val(m->patterns, added);
}

/* Where a * was met last, the pattern goes on from there when it does not fit. */
static bool matches(const char *pattern, const char *path)
{
    const char *star = NULL, *resume = NULL;

    while (*path) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = path;
        } else if (*pattern == '?' || *pattern == *path) {
            pattern++;
            path++;
        } else if (star) {
            pattern = star;
            path = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* The lower of best and the ranks of the node's patterns that match. */
static int best_at(const PathMatcher *m, const Node *node, const char *path, int best)
{
    for (int i = node->patterns; i >= 0; i = pattern_at(m, i)->next) {
        const Pattern *pattern = pattern_at(m, i);

        if (pattern->rank < best && (!pattern->text || matches(pattern->text, path))) {
            best = pattern->rank;
        }
    }
    return best;
}

int path_matcher_match(const PathMatcher *m, const char *path)
{
    int best = best_at(m, node_at(&m->prefixes, ROOT), path, G_MAXINT);
    const char *end = path + strlen(path);
    int node = ROOT;

    best = best_at(m, node_at(&m->suffixes, ROOT), path, best);
    for (const char *p = end; p > path; p--) {
        node = find_child(&m->suffixes, node, p[-1]);
        if (node == NO_NODE) {
            break;
        }
        best = best_at(m, node_at(&m->suffixes, node), path, best);
    }
    node = ROOT;
    for (const char *p = path; p < end; p++) {
        node = find_child(&m->prefixes, node, *p);
        if (node == NO_NODE) {
            break;
        }
        best = best_at(m, node_at(&m->prefixes, node), path, best);
    }
    return best == G_MAXINT ? -1 : best;
}
