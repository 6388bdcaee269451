/*
 * Manifests of one line each, for tables of small worlds.
 */
#ifndef BH_TEST_SIM_OBJECTS_H
#define BH_TEST_SIM_OBJECTS_H

#define NS(name, labels)                                                                           \
	"---\n{apiVersion: v1, kind: Namespace, metadata: {name: " name ", labels: {" labels "}}}" \
	"\n"
#define POD(ns, name, labels, more)                                                                \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: " ns ", name: " name               \
	", labels: {" labels "}}, spec: {" more "}}\n"
#define POD_AT(ns, name, labels, addrs)                                                            \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: " ns ", name: " name               \
	", labels: {" labels "}}, spec: {}, status: {podIPs: [" addrs "]}}\n"
#define PORT(name, number)                                                                         \
	"containers: [{name: c, ports: [{name: " name ", containerPort: " number "}]}]"
#define POLICY(ns, name, spec)                                                                     \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: " ns   \
	", name: " name "}, spec: {" spec "}}\n"

#endif
