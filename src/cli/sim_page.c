#include "sim_page.h"

#include "bh/alloc.h"
#include "bh/log.h"
#include "cli.h"
#include "sim_input.h"

int bh_cli_sim_page(struct bh_sim_page *page)
{
	bh_auto(bh_exposures_free) struct bh_exposures *exposures = bh_exposures_new(page->sim);
	bh_auto(bh_lint_free) struct bh_lint *lint = NULL;
	struct bh_buf out = { 0 };
	struct bh_err err = { 0 };

	if (bh_lint_new(&lint, page->sim, NULL, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	page->exposures = exposures;
	page->lint = lint;
	bh_sim_html(page, &out);
	bh_cli_print(&out);
	bh_buf_done(&out);
	return BH_CLI_YES;
}
