// SPDX-License-Identifier: Apache-2.0
/*
 * Each kind by itself: the first byte chooses it, the rest is what stands below its head, among
 * objects that it may refer to. So the bytes are spent on fields, not on finding the kind again.
 */
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KIND(version, name)                                                                        \
	"---\napiVersion: " version "\nkind: " name "\nmetadata: {name: a, namespace: n}\n"

static const char *const heads[] = {
	KIND("networking.istio.io/v1", "VirtualService"),
	KIND("networking.istio.io/v1beta1", "DestinationRule"),
	KIND("networking.istio.io/v1alpha3", "ServiceEntry"),
	KIND("v1", "Service"),
	KIND("discovery.k8s.io/v1", "EndpointSlice"),
	KIND("v1", "Endpoints"),
	KIND("v1", "Pod"),
	KIND("sluice.dev/v1", "EndpointGroup"),
	KIND("sluice.dev/v1", "Drain"),
	"---\napiVersion: v1\nkind: List\n",
	KIND("config.istio.io/v1alpha2", "RouteRule"),
	KIND("gateway.networking.k8s.io/v1", "HTTPRoute"),
	KIND("gateway.networking.k8s.io/v1", "GRPCRoute"),
	KIND("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
	KIND("gateway.networking.k8s.io/v1alpha2", "UDPRoute"),
	/* a head of the bytes' own */
	"---\n",
};

/* Somebody to refer to: a ServiceEntry, a Kubernetes Service and a Pod. */
static const char around[] =
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: "
	"n}\n"
	"spec:\n  hosts: [e.test]\n  addresses: [10.0.0.1, \"fd00::1\"]\n  resolution: STATIC\n"
	"  ports: [{number: 80, name: http, protocol: HTTP}]\n"
	"  endpoints: [{address: 10.1.0.1, labels: {version: v1}}, {address: 10.1.0.2}]\n"
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: k, namespace: n}\n"
	"spec: {clusterIP: 10.0.0.2, selector: {app: k}, ports: [{port: 80, targetPort: web}]}\n"
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n, labels: {app: k}}\n"
	"status: {podIP: 10.1.0.3}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *head = heads[size ? data[0] % (sizeof(heads) / sizeof(heads[0])) : 0];
	char *all = size ? talloc_asprintf(NULL, "%s%s", around, head) : NULL;
	size_t before = all ? strlen(all) : 0;

	if (!all)
		return 0;
	all = talloc_realloc(NULL, all, char, before + size);
	memcpy(all + before, data + 1, size - 1);
	input_try(&(struct input_text){ "fuzz", all, before + size - 1 });
	talloc_free(all);
	return 0;
}
