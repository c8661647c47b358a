import { parseTenantId, type TenantId } from "../ids.ts";

/** An operation's id names its tenant, so that it can be found without an index: `op-<random>.<base64url(tenant id)>`. */
export function operationId(tenantId: TenantId, random: string): string {
  const encoded = btoa(tenantId).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `op-${random}.${encoded}`;
}

/** By what name whoever carries out an import writes to the vault. */
export const importer = (operation: string): string => `import:${operation}`;

/** Whose operation this is; null for what is no operation id. */
export function tenantOfOperation(id: string): TenantId | null {
  const match = /^op-[0-9a-z]{1,64}\.([A-Za-z0-9_-]{1,256})$/.exec(id);
  if (!match?.[1]) return null;
  try {
    return parseTenantId(atob(match[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return null;
  }
}
