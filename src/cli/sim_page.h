/*
 * `-o html` of the simulator's commands.
 */
#ifndef BH_CLI_SIM_PAGE_H
#define BH_CLI_SIM_PAGE_H

#include "bh/sim.h"

/* Prints @page, of which exposures and lint are filled in here.  The exit status. */
int bh_cli_sim_page(struct bh_sim_page *page);

#endif
