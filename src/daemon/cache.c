/*
 * Writing is a child's job: fork() freezes the world for it in about the time
 * that a pass takes, and the parent goes on.  The child writes, says what went
 * wrong through a pipe, and ends; it never returns to the loop.
 *
 * Reading waits a moment for the API, and then takes a portion in each turn of the
 * loop, so that whoever else has something to say is heard.  The kernel holds the
 * rules of the run before, so nothing is open meanwhile.  Of a kind that the API
 * has listed by then, or an object that it has told of, the file says nothing any
 * more.
 */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/file.h"
#include "bh/log.h"
#include "cachefile.h"
#include "handle.h"

#define READ_AFTER_MS  5000
#define FIRST_WRITE_MS 2000
#define WRITE_EVERY_MS 180000
/* Facts in one turn of the loop: some milliseconds. */
#define PORTION 256

static struct bh_cachefile_info info_of(const struct bh_cache *c)
{
	struct bh_kube_stats stats = bh_kube_stats(c->agent->sources.kube);
	struct bh_cachefile_info info = { .real_ns = bh_real_ns() };

	snprintf(info.server, sizeof(info.server), "%s", stats.server);
	return info;
}

/* --- reading --------------------------------------------------------------------------- */

/* In one portion. */
struct reading {
	struct bh_cache *cache;
	struct bh_kube_stats stats;
};

static enum bh_kube_resource resource_of(const struct bh_key *key)
{
	switch (key->kind) {
	case BH_KIND_NAMESPACE: return BH_KUBE_NAMESPACES;
	case BH_KIND_NODE: return BH_KUBE_NODES;
	case BH_KIND_POD: return BH_KUBE_PODS;
	case BH_KIND_POLICY:
		return key->policy_kind == BH_NETWORK_POLICY ? BH_KUBE_NETWORK_POLICIES
							     : BH_KUBE_CLUSTER_NETWORK_POLICIES;
	case BH_KIND_COUNT_: break;
	}
	abort();
}

static void on_fact(void *ctx, const struct bh_fact *fact)
{
	struct reading *r = ctx;
	struct bh_agent *a = r->cache->agent;
	const struct bh_key key = bh_fact_key(fact);

	if (r->stats.resources[resource_of(&key)].is_synced || bh_world_is_told(a->world, &key) ||
	    !bh_kube_adopt(a->sources.kube, &key))
		return;
	a->sources.sink.on_put(a->sources.sink.ctx, fact);
	r->cache->n_used++;
}

static void end_reading(struct bh_cache *c)
{
	uv_idle_stop(&c->reader);
	bh_cachefile_close(&c->file);
}

static void give_up(struct bh_cache *c, const struct bh_err *err)
{
	end_reading(c);
	c->state_ns = 0;
	bh_log_error("'%s': %s, rules stay as they are in the kernel", c->path, bh_err_text(err));
}

static void use(struct bh_cache *c)
{
	char time[BH_TIME_STRLEN];

	end_reading(c);
	c->is_in_use = true;
	bh_log_warning("the Kubernetes API has not listed everything yet: using its state of %s, "
		       "%zu objects",
		       bh_time_format(c->state_ns, time), c->n_used);
	bh_reconcile_defer(&c->agent->reconcile, true);
	bh_agent_update_ready(c->agent);
}

static void on_reader(uv_idle_t *idle)
{
	struct bh_cache *c = bh_container_of(idle, struct bh_cache, reader);
	struct reading r = { .cache = c, .stats = bh_kube_stats(c->agent->sources.kube) };
	struct bh_err err = { 0 };
	int n = bh_cachefile_read(c->file, PORTION, on_fact, &r, &err);

	if (n < 0)
		give_up(c, &err);
	else if (n == 0)
		use(c);
}

static void on_read_timer(uv_timer_t *timer)
{
	struct bh_cache *c = bh_container_of(timer, struct bh_cache, read_timer);
	bh_auto_close int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct bh_kube_stats stats = bh_kube_stats(c->agent->sources.kube);
	struct bh_cachefile_info info = { 0 };
	struct bh_err err = { 0 };

	if (fd < 0 && errno == ENOENT) {
		bh_log_warning(
			"the Kubernetes API has not listed everything and there is no '%s' yet: "
			"rules stay as they are in the kernel",
			c->path);
		return;
	}
	if (fd < 0)
		bh_err(&err, -errno, "cannot be opened: %s", strerror(errno));
	if (fd < 0 || bh_cachefile_open(&c->file, fd, stats.server, &info, &err) < 0) {
		give_up(c, &err);
		return;
	}
	c->state_ns = info.real_ns;
	uv_idle_start(&c->reader, on_reader);
}

void bh_cache_end_use(struct bh_cache *c)
{
	if (!c->agent)
		return;
	uv_timer_stop(&c->read_timer);
	end_reading(c);
	c->is_in_use = false;
}

/* --- writing ----------------------------------------------------------------------------- */

static void on_write_timer(uv_timer_t *timer);

static void arm(struct bh_cache *c)
{
	uint64_t now = uv_now(c->agent->loop), next = now + FIRST_WRITE_MS;

	if (c->child > 0 || uv_is_active((uv_handle_t *)&c->write_timer))
		return;
	if (c->last_write_ms > 0 && c->last_write_ms + WRITE_EVERY_MS > next)
		next = c->last_write_ms + WRITE_EVERY_MS;
	uv_timer_start(&c->write_timer, on_write_timer, next - now, 0);
}

static void count(struct bh_cache *c, uint64_t state_ns, const char *error)
{
	if (!*error) {
		c->n_writes++;
		c->state_ns = state_ns;
		return;
	}
	c->n_failures++;
	c->is_changed = true;
	bh_log_error("%s: a restart while the API is away would have an older state", error);
}

static void on_answer_closed(uv_handle_t *handle)
{
	struct bh_cache *c = bh_container_of(handle, struct bh_cache, answer);

	bh_close(&c->answer_fd);
	if (c->is_changed && !c->agent->is_stopping)
		arm(c);
}

static void reap(struct bh_cache *c)
{
	while (waitpid(c->child, NULL, 0) < 0 && errno == EINTR)
		;
	c->child = 0;
}

/* The child's answer is the time of the state, then what went wrong, if anything. */
static void on_answer(uv_poll_t *poll, int status, int events)
{
	struct bh_cache *c = bh_container_of(poll, struct bh_cache, answer);
	char text[BH_ERR_MAX + 32] = "";
	ssize_t n = read(c->answer_fd, text, sizeof(text) - 1);
	char *error = NULL;
	uint64_t state_ns = 0;

	(void)status;
	(void)events;
	if (n > 0)
		state_ns = strtoull(text, &error, 10);
	reap(c);
	count(c, state_ns, n > 0 ? error : "the process that writes the state was killed");
	uv_close((uv_handle_t *)&c->answer, on_answer_closed);
}

static void answer(int fd, const struct bh_cachefile_info *info, const struct bh_err *err, int r)
{
	char text[BH_ERR_MAX + 32];
	int n = snprintf(text, sizeof(text), "%llu%s", (unsigned long long)info->real_ns,
			 r < 0 ? bh_err_text(err) : "");

	(void)bh_write_all(fd, text, (size_t)n);
}

/* Handlers of the loop would write to its pipe, which the child shares. */
static pid_t fork_without_handlers(void)
{
	static const int handled[] = { SIGHUP, SIGTERM, SIGINT };
	sigset_t all, before;
	pid_t child;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	child = fork();
	for (size_t i = 0; child == 0 && i < BH_ARRAY_LEN(handled); i++)
		signal(handled[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return child;
}

static void write_in_child(struct bh_cache *c)
{
	struct bh_cachefile_info info = info_of(c);
	struct bh_err err = { 0 };
	int fds[2], r;

	c->last_write_ms = uv_now(c->agent->loop);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		count(c, 0, "no pipe to write the state");
		arm(c);
		return;
	}
	c->is_changed = false;
	c->child = fork_without_handlers();
	if (c->child == 0) {
		/* It holds copies of the agent's sockets, which must end with the agent. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		r = bh_cachefile_write(c->path, c->agent->world, &info, &err);
		answer(fds[1], &info, &err, r);
		_exit(0);
	}
	close(fds[1]);
	if (c->child < 0) {
		close(fds[0]);
		c->child = 0;
		count(c, 0, "no process to write the state");
		arm(c);
		return;
	}
	c->answer_fd = fds[0];
	uv_poll_init(c->agent->loop, &c->answer, c->answer_fd);
	uv_poll_start(&c->answer, UV_READABLE | UV_DISCONNECT, on_answer);
}

static bool may_write(const struct bh_cache *c)
{
	return c->agent && c->agent->sources.kube && c->agent->sources.is_synced[BH_SOURCE_KUBE];
}

static void on_write_timer(uv_timer_t *timer)
{
	struct bh_cache *c = bh_container_of(timer, struct bh_cache, write_timer);

	if (may_write(c) && c->is_changed)
		write_in_child(c);
}

void bh_cache_note(struct bh_cache *c)
{
	if (!c->agent)
		return;
	c->is_changed = true;
	if (may_write(c))
		arm(c);
}

/* --- life -------------------------------------------------------------------------------- */

int bh_cache_start(struct bh_cache *c, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_config *config = agent->config;

	if (!config->state || !bh_config_has_kube(config))
		return 0;
	if (mkdir(config->state, 0700) < 0 && errno != EEXIST)
		return bh_err(err, -errno, "cannot make '%s': %s", config->state, strerror(errno));
	if (access(config->state, W_OK | X_OK) < 0)
		return bh_err(err, -errno, "cannot write to '%s': %s", config->state,
			      strerror(errno));
	*c = (struct bh_cache){ .agent = agent, .answer_fd = -1 };
	c->path = bh_asprintf("%s/kube.cache", config->state);
	uv_timer_init(agent->loop, &c->read_timer);
	uv_timer_init(agent->loop, &c->write_timer);
	uv_idle_init(agent->loop, &c->reader);
	uv_timer_start(&c->read_timer, on_read_timer, READ_AFTER_MS, 0);
	return 0;
}

static void write_now(struct bh_cache *c)
{
	struct bh_cachefile_info info = info_of(c);
	struct bh_err err = { 0 };

	if (bh_cachefile_write(c->path, c->agent->world, &info, &err) < 0)
		bh_log_error("%s", bh_err_text(&err));
}

void bh_cache_stop(struct bh_cache *c)
{
	if (!c->agent)
		return;
	if (c->child > 0) {
		kill(c->child, SIGKILL);
		reap(c);
		c->is_changed = true;
		uv_close((uv_handle_t *)&c->answer, on_answer_closed);
	}
	if (may_write(c) && c->is_changed)
		write_now(c);
	bh_close_handle((uv_handle_t *)&c->read_timer);
	bh_close_handle((uv_handle_t *)&c->write_timer);
	bh_close_handle((uv_handle_t *)&c->reader);
	bh_cachefile_close(&c->file);
	free(c->path);
	c->path = NULL;
}
