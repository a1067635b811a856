/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same services in four languages: Istio's YAML for Sluice, two forms of nftables rules with
 * the same split, one with none, and HAProxy's configuration. Each service has one VIP and port,
 * two versions and four endpoints.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE_PORT 80
#define ENDPOINTS 4 /* the first two are version v1, the others v2 */
#define HOST_FORMAT "s%u.bench.svc.cluster.local"

enum nft_form {
	NFT_DNAT, /* one rule a service, to one endpoint: no split */
	NFT_RULE, /* one rule an endpoint, all in one chain: a split as kube-proxy's iptables has it
		   */
	NFT_MAP,  /* a map from VIP and port to a chain a service, which has the split */
};

static inline uint32_t vip_of(uint32_t service)
{
	return 0x0a600000 + service; /* 10.96.0.0 and on */
}

static inline uint32_t endpoint_of(uint32_t service, uint32_t endpoint)
{
	return 0x0a800000 + (endpoint << 20) + service; /* 10.128.0.0, 10.144.0.0, ... and on */
}

#define IP_FORMAT "%u.%u.%u.%u"
#define IP_WORDS(ip) (ip) >> 24, (ip) >> 16 & 255, (ip) >> 8 & 255, (ip)&255

static inline FILE *input_open(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

static inline void input_close(FILE *file, const char *path)
{
	if (ferror(file) | fclose(file)) {
		fprintf(stderr, "%s: cannot be written\n", path);
		exit(1);
	}
}

static inline void service_yaml(FILE *file, uint32_t service, unsigned weight)
{
	fprintf(file,
		"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
		"metadata: {name: s%u, namespace: bench}\nspec:\n  hosts: [" HOST_FORMAT "]\n"
		"  addresses: [" IP_FORMAT "]\n"
		"  ports:\n  - {number: %u, name: tcp, protocol: TCP}\n"
		"  resolution: STATIC\n  endpoints:\n",
		service, service, IP_WORDS(vip_of(service)), SERVICE_PORT);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		fprintf(file, "  - address: " IP_FORMAT "\n    labels: {version: v%u}\n",
			IP_WORDS(endpoint_of(service, i)), 1 + i / 2);
	fprintf(file,
		"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		"metadata: {name: s%u, namespace: bench}\nspec:\n  host: " HOST_FORMAT "\n"
		"  subsets:\n  - name: v1\n    labels: {version: v1}\n"
		"  - name: v2\n    labels: {version: v2}\n",
		service, service);
	fprintf(file,
		"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		"metadata: {name: s%u, namespace: bench}\nspec:\n  hosts: [" HOST_FORMAT "]\n"
		"  tcp:\n  - route:\n"
		"    - destination: {host: " HOST_FORMAT ", subset: v1}\n      weight: %u\n"
		"    - destination: {host: " HOST_FORMAT ", subset: v2}\n      weight: %u\n",
		service, service, service, weight, service, 100 - weight);
}

/* `weight` is v1's, of 100. */
static inline void sluice_write(const char *path, uint32_t services, unsigned weight)
{
	FILE *file = input_open(path);

	for (uint32_t i = 0; i < services; i++)
		service_yaml(file, i, weight);
	input_close(file, path);
}

/*
 * Four rules, each of which takes its share of what those before it left. `weight` is v1's of 100:
 * an endpoint of it has half of that.
 */
static inline void split_nft(FILE *file, const char *before, uint32_t service, unsigned weight)
{
	unsigned left = 200, shares[ENDPOINTS] = { weight, weight, 100 - weight, 100 - weight };

	for (uint32_t i = 0; i < ENDPOINTS; left -= shares[i++]) {
		fprintf(file, "\t\t%s", before);
		if (i + 1 < ENDPOINTS)
			fprintf(file, "numgen random mod %u < %u ", left, shares[i]);
		fprintf(file, "dnat to " IP_FORMAT "\n", IP_WORDS(endpoint_of(service, i)));
	}
}

static inline void rules_nft(FILE *file, enum nft_form form, uint32_t services, unsigned weight)
{
	char before[64];

	fprintf(file, "\tchain in { type nat hook prerouting priority dstnat\n");
	for (uint32_t i = 0; i < services; i++) {
		snprintf(before, sizeof(before), "ip daddr " IP_FORMAT " tcp dport %u ",
			 IP_WORDS(vip_of(i)), SERVICE_PORT);
		if (form == NFT_DNAT)
			fprintf(file, "\t\t%sdnat to " IP_FORMAT "\n", before,
				IP_WORDS(endpoint_of(i, weight % ENDPOINTS)));
		else
			split_nft(file, before, i, weight);
	}
	fprintf(file, "\t}\n");
}

static inline void map_nft(FILE *file, uint32_t services, unsigned weight)
{
	for (uint32_t i = 0; i < services; i++) {
		fprintf(file, "\tchain s%u {\n", i);
		split_nft(file, "", i, weight);
		fprintf(file, "\t}\n");
	}
	fprintf(file, "\tmap services { type ipv4_addr . inet_service : verdict; elements = {");
	for (uint32_t i = 0; i < services; i++)
		fprintf(file, "%s\n\t\t" IP_FORMAT " . %u : goto s%u", i ? "," : "",
			IP_WORDS(vip_of(i)), SERVICE_PORT, i);
	fprintf(file, "\n\t} }\n\tchain in { type nat hook prerouting priority dstnat\n"
		      "\t\tip daddr . tcp dport vmap @services\n\t}\n");
}

/* One transaction: the table of before goes, the new one comes. */
static inline void nft_write(const char *path, enum nft_form form, uint32_t services,
			     unsigned weight)
{
	FILE *file = input_open(path);

	fprintf(file, "table ip bench\ndelete table ip bench\ntable ip bench {\n");
	if (form == NFT_MAP)
		map_nft(file, services, weight);
	else
		rules_nft(file, form, services, weight);
	fprintf(file, "}\n");
	input_close(file, path);
}

/* One transaction that gives one service of the form with the map another split. */
static inline void nft_weight_write(const char *path, uint32_t service, unsigned weight)
{
	FILE *file = input_open(path);

	fprintf(file, "flush chain ip bench s%u\ntable ip bench {\n\tchain s%u {\n", service,
		service);
	split_nft(file, "", service, weight);
	fprintf(file, "\t}\n}\n");
	input_close(file, path);
}

static inline void haproxy_write(const char *path, const char *socket, uint32_t services)
{
	FILE *file = input_open(path);

	fprintf(file,
		"global\n\tstats socket %s mode 600 level admin expose-fd listeners\n"
		"\tnbthread 2\n\tmaxconn 1000\n"
		"defaults\n\tmode tcp\n\ttimeout connect 5s\n\ttimeout client 60s\n"
		"\ttimeout server 60s\n",
		socket);
	for (uint32_t i = 0; i < services; i++) {
		fprintf(file, "listen s%u\n\tbind " IP_FORMAT ":%u\n", i, IP_WORDS(0x7f010000 + i),
			SERVICE_PORT);
		for (uint32_t e = 0; e < ENDPOINTS; e++)
			fprintf(file, "\tserver e%u " IP_FORMAT ":%u weight %u\n", e,
				IP_WORDS(endpoint_of(i, e)), SERVICE_PORT, e < 2 ? 90 : 10);
	}
	input_close(file, path);
}
