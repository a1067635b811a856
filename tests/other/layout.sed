# SPDX-License-Identifier: Apache-2.0
# Another release's layout, for tests of taking flows over: one ABI further, the word's parts in other places, other
# bits for the flags, longer records in which addresses stand elsewhere, and a longer record of all that; and in the state
# folder a line more in each file's head. Each line must change something.
s/^#define SL_ABI .*/#define SL_ABI 1002u/
s/^#define WAY_SEEN_AT .*/#define WAY_SEEN_AT 48/
s/^#define WAY_VIP_AT .*/#define WAY_VIP_AT 30/
s/^#define WAY_ENDPOINT_AT .*/#define WAY_ENDPOINT_AT 8/
s/^#define SL_FLOW_REPLY (1u << 0)/#define SL_FLOW_REPLY (1u << 6)/
s/^#define SL_FLOW_REDIRECT (1u << 1)/#define SL_FLOW_REDIRECT (1u << 4)/
s/^#define SL_FLOW_ANSWERED (1u << 2)/#define SL_FLOW_ANSWERED (1u << 7)/
s/^#define SL_FLOW_FIN_IN (1u << 3)/#define SL_FLOW_FIN_IN (1u << 0)/
s/^#define SL_FLOW_FIN_OUT (1u << 4)/#define SL_FLOW_FIN_OUT (1u << 1)/
s/^#define SL_FLOW_CLOSED (1u << 5)/#define SL_FLOW_CLOSED (1u << 2)/
s/^#define SL_FLOW_ADOPTED (1u << 6)/#define SL_FLOW_ADOPTED (1u << 5)/
s/^#define SL_FLOW_UDP (1u << 7)/#define SL_FLOW_UDP (1u << 3)/
s/^struct sl_endpoint {/&\n\t__u32 other[4];/
s/^struct sl_vip {/&\n\t__u32 other[2];/
s/^struct sl_version {/&\n\t__u64 other[2];/
s/(sizeof(struct sl_endpoint) == 32,/(sizeof(struct sl_endpoint) == 48,/
s/(sizeof(struct sl_vip) == 24,/(sizeof(struct sl_vip) == 32,/
s/(sizeof(struct sl_version) == 128,/(sizeof(struct sl_version) == 144,/
s/^\t__u16 rest\[3\];/&\n\t__u64 later[4];/
s/(sizeof(struct sl_layout) == 512,/(sizeof(struct sl_layout) == 544,/
s/^\twho_put(out, revision->time,/\tfield_put(out, "later", "word", 4);\n&/
s/ENDPOINTS_TITLE, text/ENDPOINTS_TITLE "# later word\\n", text/
