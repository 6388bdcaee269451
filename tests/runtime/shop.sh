#!/bin/bash
# Pods and policies that several cases use.  Sourced after lib.sh.

shop_pods() {
	local p
	PORTS="http=8080/TCP dns=53/UDP" pod shop/web app=web
	pod shop/api app=api
	pod shop/db app=db
	pod shop/other app=other
	for p in shop/web shop/api shop/db; do
		serve $p tcp:8080 tcp:5432 udp:53
	done
}

shop_policies() {
	netpol shop/default <<-YAML
		podSelector: {}
		policyTypes: [Ingress]
	YAML
	netpol shop/web <<-YAML
		podSelector: {matchLabels: {app: web}}
		ingress:
		- ports: [{port: 8080}]
	YAML
	netpol shop/api <<-YAML
		podSelector: {matchLabels: {app: api}}
		ingress:
		- from: [{podSelector: {matchLabels: {app: web}}}]
		  ports: [{port: 8080}]
	YAML
	netpol shop/db <<-YAML
		podSelector: {matchLabels: {app: db}}
		ingress:
		- from: [{podSelector: {matchLabels: {app: api}}}]
		  ports: [{port: 5432}]
	YAML
}
