/*
 * The manifests that are in force, kept over a restart: what a file or folder said
 * before it could not be read any more.
 */
#ifndef BH_LASTTEXTS_H
#define BH_LASTTEXTS_H

#include "statewriter.h"

struct bh_agent;
struct bh_manifest;

/* Zero does nothing: an agent without --policies. */
struct bh_lasttexts {
	struct bh_agent *agent;
	char *path;
	size_t n_recalled; /* files */
	struct bh_statewriter writer;
};

/*
 * Prepares to keep them in the folder of --state, which is made where its parent is there,
 * or without it beside the control socket, where they last as long as the rules: until the
 * machine stops.  Before capabilities are given up.
 */
int bh_lasttexts_start(struct bh_lasttexts *l, struct bh_agent *agent, struct bh_err *err);
/*
 * Hands @manifest what the run before had in force.  False if that is not known: there is no
 * such file, or it is damaged or of another folder, which becomes a problem.
 */
bool bh_lasttexts_recall(struct bh_lasttexts *l, struct bh_manifest *manifest);
/* Something of the manifests that are in force changed, or they were read for the first time. */
void bh_lasttexts_note(struct bh_lasttexts *l);
/* Writes what is not written yet; @manifest still lives. */
void bh_lasttexts_stop(struct bh_lasttexts *l);

#endif
