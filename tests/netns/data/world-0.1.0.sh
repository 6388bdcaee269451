# The world of which version 0.1.0 made table-0.1.0.nft; source it after lib.sh.
old_world() {
	pod shop/web 11 app=web
	pod shop/db 12 app=db
	pod shop/tool 13 app=tool
	pod other/free 14 app=free
	outside 192.0.2.10 2001:db8::10
	netpol shop/db <<-YAML
		podSelector: {matchLabels: {app: db}}
		ingress:
		- from: [{podSelector: {matchLabels: {app: web}}}]
		  ports: [{port: 80}, {port: 5000, endPort: 5100}]
	YAML
	netpol shop/tool <<-YAML
		podSelector: {matchLabels: {app: tool}}
		policyTypes: [Egress, Ingress]
		ingress:
		- from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}]
		egress:
		- to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}, {ipBlock: {cidr: "2001:db8::/32"}}]
		  ports: [{port: 80}]
	YAML
	serve shop/web tcp:80
	serve shop/db tcp:80 tcp:5001 tcp:5432
	serve shop/tool tcp:80
	serve other/free tcp:80
	serve out tcp:80 tcp:81
}

check_world() {
	open shop/web tcp shop/db 80
	open shop/web tcp shop/db 5001
	blocked shop/web tcp shop/db 5432
	blocked shop/tool tcp shop/db 80
	blocked other/free tcp shop/db 80
	open other/free tcp shop/tool 80
	open shop/tool tcp out 80
	blocked shop/tool tcp out 81
	open other/free tcp shop/web 80
}
