#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs that people know, unchanged: nginx, python3 -m http.server, curl, wrk, iperf3.
. "$(dirname "$0")/lib.sh"

web4=10.96.0.20 web6=fd96::20

web() { # NGINX PYTHON: weights
	cat <<-END
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: {name: web}
		spec:
		  hosts: [web.test]
		  resolution: STATIC
		  addresses: [$web4, "$web6"]
		  ports:
		  - {number: 80, name: http, protocol: HTTP, targetPort: 8081}
		  - {number: 5201, name: tcp-iperf, protocol: TCP}
		  endpoints:
		  - {address: 10.77.11.2, labels: {server: nginx}}
		  - {address: "fd77:11::2", labels: {server: nginx}}
		  - {address: 10.77.13.2, labels: {server: python}}
		  - {address: "fd77:13::2", labels: {server: python}}
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: {name: web}
		spec:
		  host: web.test
		  subsets: [{name: nginx, labels: {server: nginx}}, {name: python, labels: {server: python}}]
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: {name: web}
		spec:
		  hosts: [web.test]
		  http:
		  - route:
		    - {destination: {host: web.test, subset: nginx}, weight: $1}
		    - {destination: {host: web.test, subset: python}, weight: $2}
		  tcp:
		  - match: [{port: 5201}]
		    route: [{destination: {host: web.test, subset: nginx}}]
	END
}

servers_up() {
	mkdir -p "$tmp/nginx" "$tmp/python"
	echo nginx >"$tmp/nginx/index.html"
	echo python >"$tmp/python/index.html"
	head -c 3000000 /dev/urandom >"$tmp/nginx/large"
	cp "$tmp/nginx/large" "$tmp/python/large"
	chmod 755 "$tmp" "$tmp/nginx"
	cat >"$tmp/nginx.conf" <<-END
		user root;
		pid $tmp/nginx.pid;
		error_log $tmp/nginx.log;
		worker_processes 1;
		events { worker_connections 1024; }
		http {
			access_log off;
			client_body_temp_path $tmp/nginx-body;
			proxy_temp_path $tmp/nginx-proxy;
			fastcgi_temp_path $tmp/nginx-fastcgi;
			uwsgi_temp_path $tmp/nginx-uwsgi;
			scgi_temp_path $tmp/nginx-scgi;
			server { listen 8081; listen [::]:8081; root $tmp/nginx; }
		}
	END
	start s1 nginx -c "$tmp/nginx.conf" -g "daemon off;" >"$tmp/nginx.out" 2>&1
	start s3 python3 -m http.server 8081 --bind :: --directory "$tmp/python" >"$tmp/python.out" 2>&1
	wait_for "nginx" in_ns c1 curl -sf http://10.77.11.2:8081/ && wait_for "python" in_ns c1 curl -sf http://10.77.13.2:8081/
}

fetch() { in_ns c1 curl -sf --max-time 5 "$@"; }

curls() { # URL
	local i

	for ((i = 0; i < 60; i++)); do
		fetch "$1" || echo failed
	done >"$tmp/fetched"
	is "failed" 0 "$(grep -c failed "$tmp/fetched")" && at_least "answers of nginx" 15 "$(grep -c nginx "$tmp/fetched")" &&
		at_least "answers of python" 15 "$(grep -c python "$tmp/fetched")"
}

large() {
	local i

	for ((i = 0; i < 6; i++)); do
		fetch -o "$tmp/fetched" "http://$web4/large" && cmp "$tmp/fetched" "$tmp/nginx/large" || return 1
	done
}

wrk_run() {
	needs wrk || return
	sluice weight web --rule 0 nginx=1 python=0 >"$tmp/weight" &&
		in_ns c1 wrk -t1 -c32 -d2s "http://$web4/" >"$tmp/wrk" || return 1
	cat "$tmp/wrk"
	is "wrk's errors" "" "$(grep -i 'socket errors\|non-2xx' "$tmp/wrk")" &&
		at_least "requests a second" 1000 "$(sed -n 's/Requests.sec: *//p' "$tmp/wrk")"
}

# A canary while wrk runs: connections of wrk live as long as it does, none may break.
wrk_canary() {
	needs wrk || return
	local i

	start c1 wrk -t1 -c32 -d3s "http://$web4/" >"$tmp/wrk"
	local wrk=$!

	for i in 90 50 10 0; do
		sleep 0.4
		sluice weight web --rule 0 "nginx=$i" "python=$((100 - i))" >"$tmp/weight" || return 1
	done
	wait "$wrk"
	cat "$tmp/wrk"
	is "wrk's errors" "" "$(grep -i 'socket errors\|non-2xx' "$tmp/wrk")"
}

iperf() { # VIP OPTION...
	needs iperf3 || return
	start s1 iperf3 -s -1 >"$tmp/iperf.server"
	sleep 0.3
	in_ns c1 iperf3 -c "$1" -t 1 "${@:2}" >"$tmp/iperf" 2>&1
	local code=$?

	cat "$tmp/iperf"
	return "$code"
}

needs nginx curl python3 >/dev/null || { row "nginx, curl and python3" needs nginx curl python3; rows_end; }
world_up
agent_start || die "the agent comes up"
web 50 50 | apply >"$tmp/row" 2>&1 || die "the configuration is taken: $(cat "$tmp/row")"
servers_up >"$tmp/row" || die "the servers come up: $(cat "$tmp/row" "$tmp/nginx.log")"
row "curl of nginx and python3 -m http.server, half and half" curls "http://$web4/"
row "curl over IPv6" curls "http://[$web6]/"
row "large files arrive as they are" large
row "wrk against nginx" wrk_run
row "wrk sees no error while the weights move under it" wrk_canary
row "iperf3, one stream" iperf "$web4"
row "iperf3, the other way" iperf "$web4" -R
row "iperf3, IPv6" iperf "$web6"
rows_end
