/*
 * The program's own log.  Only daemon/ and cli/ log; everybody else returns
 * an error to them.
 */
#ifndef BH_LOG_H
#define BH_LOG_H

/* Values are those of syslog(3), which journald reads as "<N>" prefixes. */
enum bh_log_level {
	BH_LOG_ERROR = 3,
	BH_LOG_WARNING = 4,
	BH_LOG_INFO = 6,
	BH_LOG_DEBUG = 7,
};

/* Messages above @level are dropped; the start value is BH_LOG_INFO. */
void bh_log_set_level(enum bh_log_level level);
/*
 * With @prefix, each line starts with "<N>" (for journald, sd-daemon(3));
 * without, errors and warnings start with the word.
 */
void bh_log_set_journal(int prefix);

/* One line to standard error; control characters are escaped. */
void bh_log(enum bh_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define bh_log_error(...)   bh_log(BH_LOG_ERROR, __VA_ARGS__)
#define bh_log_warning(...) bh_log(BH_LOG_WARNING, __VA_ARGS__)
#define bh_log_info(...)    bh_log(BH_LOG_INFO, __VA_ARGS__)
#define bh_log_debug(...)   bh_log(BH_LOG_DEBUG, __VA_ARGS__)

#endif
