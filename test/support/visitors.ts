import { exports } from "cloudflare:workers";
import { SignJWT } from "jose";
import { keyId, keyOf } from "../../src/auth/api-key.ts";
import { insertKey } from "../../src/auth/key-store.ts";
import type { Role } from "../../src/auth/principal.ts";
import { configOf } from "../../src/config.ts";
import type { TenantId } from "../../src/ids.ts";
import { type Session, signSession } from "../../src/sessions/session.ts";
import { call, env } from "./fleet.ts";

/** Those who come to a tenant's host without the admin's key, and what they bring. */

export const JWT = { secret: "j".repeat(32), issuer: "https://issuer.example", audience: "boilerhouse-tests" };

/** Before any object of the system is made: each takes its configuration when it is. */
export const configure = (variables: Record<string, string | undefined>): void => {
  Object.assign(env, variables);
};

export const acceptTokens = () =>
  configure({ JWT_SECRET: JWT.secret, JWT_ISSUER: JWT.issuer, JWT_AUDIENCE: JWT.audience });

export const hostOf = (tenant: string, path = "/"): string => `http://${tenant}.localhost:8787${path}`;

/** A request with nothing but what is given. */
export function visit(url: string, init: RequestInit = {}): Promise<Response> {
  const request = new Request(url, { redirect: "manual", ...init });
  return (exports as unknown as { default: Fetcher }).default.fetch(request);
}

export const cookieOf = async (session: Omit<Partial<Session>, "tenantId"> & { tenantId: string }): Promise<string> =>
  `__Host-boilerhouse=${await tokenOf(session)}`;

export const tokenOf = (session: Omit<Partial<Session>, "tenantId"> & { tenantId: string }): Promise<string> =>
  signSession(configOf(env), {
    actor: "test",
    tokenVersion: 1,
    expiresAt: Date.now() + 60_000,
    ...session,
    tenantId: session.tenantId as TenantId,
  });

export const bearer = (token: string): { headers: { authorization: string } } => ({
  headers: { authorization: `Bearer ${token}` },
});

/** A key of the API, straight into the registry. */
export async function aKey(role: Role, tenantId: string | null = null): Promise<string> {
  const random = () => crypto.getRandomValues(new Uint8Array(32));
  const { key, hash, prefix } = keyOf(random());
  const now = Date.now();
  const stored = {
    id: keyId(now, random()),
    name: role,
    role,
    tenantId: tenantId as TenantId | null,
    hash,
    prefix,
    previousHash: null,
    previousUntil: null,
    requestsPerMinute: null,
    createdAt: now,
    createdBy: "test",
    expiresAt: null,
    lastUsedAt: null,
    revokedAt: null,
  };
  await insertKey(env.DB, stored, { actor: "test", requestId: null });
  return key;
}

export const aJwt = (tenantId: string, ver = 1, expiresInS = 60): Promise<string> =>
  new SignJWT({ tid: tenantId, ver })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("user-1")
    .setIssuer(JWT.issuer)
    .setAudience(JWT.audience)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + expiresInS)
    .sign(new TextEncoder().encode(JWT.secret));

interface Code {
  code: string;
  url: string;
  expiresAt: string;
  sessionExpiresAt: string;
}
interface Ticket {
  ticket: string;
  protocol: string;
  expiresAt: string;
}
export const aCode = (tenant: string, body: object = {}) =>
  call<Code>("POST", `/api/v1/tenants/${tenant}/access-codes`, body);
export const aTicket = (tenant: string, body: object = {}) =>
  call<Ticket>("POST", `/api/v1/tenants/${tenant}/tickets`, body);

/** An accepted socket, and how it ends. */
export function open(response: Response): { socket: WebSocket; closed: Promise<number> } {
  const socket = response.webSocket;
  if (!socket) throw new Error(`no upgrade: ${response.status}`);
  socket.accept();
  const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
  return { socket, closed };
}

export const echoed = (socket: WebSocket, text: string): Promise<unknown> => {
  const answer = new Promise((resolve) =>
    socket.addEventListener("message", ({ data }) => resolve(data), { once: true }),
  );
  socket.send(text);
  return answer;
};
