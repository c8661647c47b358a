import { parseTenantId, RESERVED_HOST_LABELS, SLUG, type TenantId } from "../ids.ts";
import type { Exposure } from "./internal.ts";

/** Whom a URL is for. `label`: a hashed host label, whose tenant only the registry knows. */
export type Target =
  | { kind: "platform" }
  | { kind: "tenant"; tenantId: TenantId; exposure: Exposure; path: string }
  | { kind: "label"; label: string; path: string }
  | { kind: "nobody" }
  | { kind: "bad-tenant-id" };

const HASHED_LABEL = /^t-[a-z2-7]{20}$/;

/** Pure. `path` starts with `/`, as the client wrote it, and includes the query. */
export function targetOf(url: URL, tenantDomain: string): Target {
  const host = url.hostname;
  if (host.length > tenantDomain.length && host.endsWith(`.${tenantDomain}`)) {
    const label = host.slice(0, -tenantDomain.length - 1);
    if (!RESERVED_HOST_LABELS.has(label)) return hostTarget(label, url.pathname + url.search);
  }
  return url.pathname.startsWith("/t/") ? pathTarget(url) : { kind: "platform" };
}

function hostTarget(label: string, path: string): Target {
  if (HASHED_LABEL.test(label)) return { kind: "label", label, path };
  if (!SLUG.test(label) || label.startsWith("xn--")) return { kind: "nobody" };
  const tenantId = parseTenantId(label);
  return tenantId ? { kind: "tenant", tenantId, exposure: "host", path } : { kind: "nobody" };
}

function pathTarget(url: URL): Target {
  const end = url.pathname.indexOf("/", 3);
  const segment = url.pathname.slice(3, end === -1 ? undefined : end);
  const tenantId = parseTenantId(decode(segment));
  if (!tenantId) return { kind: "bad-tenant-id" };
  const path = (end === -1 ? "/" : url.pathname.slice(end)) + url.search;
  return { kind: "tenant", tenantId, exposure: "path", path };
}

/** Empty, which is no tenant's id, for a segment that is not percent-encoded UTF-8. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return "";
  }
}
