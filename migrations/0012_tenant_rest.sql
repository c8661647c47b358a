-- What a tenant is made anew from, beside the other columns, when its object lost its record (src/tenant/rebuild.ts), as JSON.
ALTER TABLE tenants ADD COLUMN rest TEXT;
