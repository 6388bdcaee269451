/*
 * The manifest files below a folder.
 */
#ifndef BH_MANIFEST_WALK_H
#define BH_MANIFEST_WALK_H

#include "bh/manifest.h"

struct scan {
	/* Called for every folder before it is read; may be NULL. */
	void (*on_folder)(void *ctx, const char *path);
	void *ctx;
	/* Leave files alone that were written to just now; sets is_unsettled. */
	bool wants_settled;
	bool reads_all; /* also files that look unchanged */
	/* The operator says that folders and files without anything in them are meant so. */
	bool accepts_empty;
	bool is_unsettled;
};

struct walk {
	/* Sorted by path; ends of names and hidden names are sorted out already. */
	char **files;
	size_t n_files, cap_files;
	/* Folders that were read, the tree itself first. */
	struct walk_folder {
		char *path;
		size_t n_below; /* files and folders with trouble, in subfolders too */
		size_t n_kept;  /* for the store */
	} * folders;
	size_t n_folders, cap_folders;
	/* Folders within the tree that could not be read, and why. */
	struct walk_trouble {
		char *path, *why;
	} * troubles;
	size_t n_troubles, cap_troubles;
	bool has_links; /* known if the scan has on_folder */
};

/* By its name, which a file of the tree must have, and which is not hidden. */
bool walk_is_manifest(const char *name);
/* A negative errno with text if @path itself cannot be read. */
int walk_tree(const char *path, const struct scan *scan, struct walk *ret, struct bh_err *err);
void walk_done(struct walk *w);

#endif
