/*
 * One pass: what changed in the world between two acknowledged commits, and
 * what follows from it once the kernel has it.
 */
#ifndef BH_PASS_H
#define BH_PASS_H

#include <stddef.h>

struct bh_agent;
struct bh_record;

/* Zero is empty. */
struct bh_pass {
	struct bh_record **events;
	size_t n, cap;
	size_t n_left_out; /* events beyond the limit; told in a gap record */
};

void bh_pass_done(struct bh_pass *p);
/* Before the compiler settles the world: notes its changes. */
void bh_pass_note(struct bh_pass *p, struct bh_agent *a);
/* After the compiler: logs and notes the policies that it closed for their budget. */
void bh_pass_note_closed(struct bh_pass *p, struct bh_agent *a);
/* After the commit: writes the events to the flow log and revokes. */
void bh_pass_commit(struct bh_pass *p, struct bh_agent *a);

#endif
