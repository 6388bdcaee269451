/*
 * The manifest files below a folder.
 */
#ifndef BH_MANIFEST_WALK_H
#define BH_MANIFEST_WALK_H

#include "store.h"

struct walk {
	/* Sorted by path; ends of names and hidden names are sorted out already. */
	char **files;
	size_t n_files, cap_files;
	/* Folders within the tree that could not be read, and why. */
	struct walk_trouble {
		char *path, *why;
	} * troubles;
	size_t n_troubles, cap_troubles;
};

/* A negative errno with text if @path itself cannot be read. */
int walk_tree(const char *path, const struct scan *scan, struct walk *ret, struct bh_err *err);
void walk_done(struct walk *w);

#endif
