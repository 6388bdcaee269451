#include "bh/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * BH_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t bh_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

uint64_t bh_real_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

const char *bh_time_format(uint64_t real_ns, char buf[BH_TIME_STRLEN])
{
	time_t sec = (time_t)(real_ns / BH_NS_PER_S);
	char date[24] = "";
	struct tm tm;

	if (gmtime_r(&sec, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, BH_TIME_STRLEN, "%.19s.%09uZ", date, (unsigned int)(real_ns % BH_NS_PER_S));
	return buf;
}

/* Exactly @n digits. */
static bool digits(const char **s, int n, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return true;
}

static bool fixed(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

int bh_time_parse(const char *s, uint64_t *ret)
{
	int year, mon, day, hour, min, sec, off_hour = 0, off_min = 0, sign = 0;
	uint64_t frac = 0, unit = BH_NS_PER_S / 10;
	struct tm tm = { 0 };
	time_t t;

	if (!digits(&s, 4, &year) || !fixed(&s, '-') || !digits(&s, 2, &mon) || !fixed(&s, '-') ||
	    !digits(&s, 2, &day) || (*s != 'T' && *s != 't' && *s != ' '))
		return -EINVAL;
	s++;
	if (!digits(&s, 2, &hour) || !fixed(&s, ':') || !digits(&s, 2, &min) || !fixed(&s, ':') ||
	    !digits(&s, 2, &sec))
		return -EINVAL;
	if (year < 1970 || mon < 1 || mon > 12 || day < 1 || day > 31 || hour > 23 || min > 59 ||
	    sec > 60)
		return -EINVAL;
	if (*s == '.') {
		if (*++s < '0' || *s > '9')
			return -EINVAL;
		for (; *s >= '0' && *s <= '9'; s++, unit /= 10)
			frac += (uint64_t)(*s - '0') * unit;
	}
	if (*s == 'Z' || *s == 'z') {
		s++;
	} else if (*s == '+' || *s == '-') {
		sign = *s++ == '+' ? 1 : -1;
		if (!digits(&s, 2, &off_hour) || !fixed(&s, ':') || !digits(&s, 2, &off_min) ||
		    off_hour > 23 || off_min > 59)
			return -EINVAL;
	} else {
		return -EINVAL;
	}
	if (*s)
		return -EINVAL;

	tm.tm_year = year - 1900;
	tm.tm_mon = mon - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = min;
	tm.tm_sec = sec;
	t = timegm(&tm) - sign * (off_hour * 60 + off_min) * 60;
	if (t < 0)
		return -EINVAL;
	*ret = (uint64_t)t * BH_NS_PER_S + frac;
	return 0;
}
