-- Walks over all tenants (rebuild, rotation of secrets) also find those that D1 knows by their host only.
CREATE INDEX tenant_hosts_by_tenant ON tenant_hosts (tenant_id);
