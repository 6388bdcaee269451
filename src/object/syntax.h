/*
 * What names, labels and ports may look like.  Each function returns NULL for
 * a good one, else the API server's words for what is wrong with it.
 */
#ifndef BH_OBJECT_SYNTAX_H
#define BH_OBJECT_SYNTAX_H

/* RFC 1123 label: namespaces. */
const char *wrong_dns_label(const char *s);
/* RFC 1123 subdomain: most other names. */
const char *wrong_dns_subdomain(const char *s);
const char *wrong_label_key(const char *s);
const char *wrong_label_value(const char *s);
/* IANA_SVC_NAME (RFC 6335 section 5.1), lower case. */
const char *wrong_port_name(const char *s);
/* Of two labels at least; may start with "*." and end with a dot. */
const char *wrong_domain_name(const char *s);

#endif
