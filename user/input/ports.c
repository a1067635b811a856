// SPDX-License-Identifier: Apache-2.0
/* What a port carries decides whether http or tcp rules govern it; by Istio's rules for telling. */
#include "work.h"

#include <string.h>

#include "../base/cleanup.h"

static bool is_word_of(const char *text, size_t length, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(words[i]) == length && !strncasecmp(words[i], text, length))
			return true;
	return false;
}

static enum app_protocol app_of_word(const char *text, size_t length)
{
	static const char *const http[] = { "http", "http2", "grpc", "grpc-web", "http_proxy" };
	static const char *const tcp[] = { "tcp",   "tls",   "https", "mysql",
					   "mongo", "redis", "udp",   "hbone" };

	if (is_word_of(text, length, http, ARRAY_SIZE(http)))
		return APP_HTTP;
	return is_word_of(text, length, tcp, ARRAY_SIZE(tcp)) ? APP_TCP : APP_UNKNOWN;
}

enum app_protocol app_of_name(const char *port_name, enum protocol protocol)
{
	if (protocol == PROTOCOL_UDP)
		return APP_TCP;
	if (!strncasecmp(port_name, "grpc-web", 8) && (!port_name[8] || port_name[8] == '-'))
		return APP_HTTP;
	return app_of_word(port_name, strcspn(port_name, "-"));
}

enum app_protocol app_of_kube(const char *app_protocol, const char *port_name,
			      enum protocol protocol)
{
	static const char *const cleartext[] = { "kubernetes.io/h2c", "kubernetes.io/ws" };
	enum app_protocol app;

	if (protocol == PROTOCOL_UDP || !app_protocol)
		return app_of_name(port_name, protocol);
	if (!strcmp(app_protocol, APP_PROTOCOL_UNKNOWN))
		return APP_UNKNOWN;
	if (!strcmp(app_protocol, "kubernetes.io/wss"))
		return APP_TCP;
	if (is_word_of(app_protocol, strlen(app_protocol), cleartext, ARRAY_SIZE(cleartext)))
		return APP_HTTP;
	app = app_of_word(app_protocol, strlen(app_protocol));
	return app == APP_UNKNOWN ? app_of_name(port_name, protocol) : app;
}

enum app_protocol app_of_istio(const char *protocol_name)
{
	return protocol_name ? app_of_word(protocol_name, strlen(protocol_name)) : APP_UNKNOWN;
}
