import { instanceOf, tenantOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { bridge } from "../proxy/bridge.ts";
import { isUpgrade, toClient } from "../proxy/headers.ts";
import {
  decodeRoute,
  encodeRoute,
  hasNoBody,
  moved,
  type Refusal,
  ROUTE_HEADER,
  type Routed,
  verdictOf,
  verdictResponse,
} from "../proxy/internal.ts";
import type { CloseSocket } from "../proxy/open-requests.ts";
import { closeAtExpiry, PendingClose } from "../proxy/session-end.ts";
import { withDeadline } from "../runtime/deadline.ts";
import { type ContainerRuntime, RuntimeError } from "../runtime/port.ts";
import { GATEWAY_TOKEN_HEADER } from "../sessions/gateway-token.ts";

/** How long a request that a stale Instance passes on waits for the tenant's current container, in ms. */
const FORWARD_WAIT_MS = 25_000;
/** For the container's answer to an upgrade. A socket that never opens must not keep its container awake. */
const HANDSHAKE_MS = 30_000;

/** What the Instance knows of itself when a request arrives. */
export interface ProxyHooks {
  /** Whether this container serves the tenant for this epoch and admission is open, now. */
  isCurrent(tenantId: TenantId, epoch: Epoch): boolean;
  /** A request or a WebSocket frame passed. */
  onActivity(): void;
  /** Opens an entry (OpenRequests.begin); a socket brings the way to close it and the token version of its session. The end may be reported twice. */
  begin(close?: CloseSocket, tokenVersion?: number | null): () => void;
  /** The container was not there for a request, or its answer did not come. */
  onFailure(): void;
  /** What the workload knows the proxy by; null when its container was given none. */
  gatewayToken(): string | null;
}

export interface ProxyContext {
  runtime: Pick<ContainerRuntime, "running" | "fetch">;
  hooks: ProxyHooks;
  env: Env;
}

/** Whether a request came from the Worker's proxy; nothing else reaches an Instance's `fetch`. */
export const isProxied = (request: Request): boolean => request.headers.has(ROUTE_HEADER);

/**
 * One proxied request, checked against what this Instance serves now, streamed in both directions. Answers either with
 * the container's response or with a verdict for the Worker (internal.ts).
 */
export async function serveProxied(request: Request, context: ProxyContext): Promise<Response> {
  const { runtime, hooks } = context;
  const routed = decodeRoute(request.headers.get(ROUTE_HEADER));
  if (!routed) return verdictResponse("stale");
  const current = hooks.isCurrent(routed.tenantId, routed.epoch);
  if (!current || !runtime.running) {
    const replayable = request.body === null && !isUpgrade(request.headers);
    if (!replayable && routed.forwarded === "no") return forward(request, routed, context.env);
    if (current) hooks.onFailure();
    return verdictResponse(current ? "absent" : "stale");
  }
  hooks.onActivity();
  return isUpgrade(request.headers) ? upgrade(request, routed, context) : exchange(request, routed, context);
}

/** A used body cannot be sent twice, and an upgrade has one chance: the stale Instance passes them on, untouched. */
async function forward(request: Request, routed: Routed, env: Env): Promise<Response> {
  const stale = { containerId: routed.containerId, epoch: routed.epoch };
  const route = await tenantOf(env, routed.tenantId).route(routed.tenantId, stale, FORWARD_WAIT_MS);
  if (route.kind !== "ready") return verdictResponse(request.body === null ? "absent" : "spent");
  const { containerId, epoch, port } = route;
  const headers = new Headers(request.headers);
  headers.set(ROUTE_HEADER, encodeRoute({ ...routed, containerId, epoch, port, forwarded: "once" }));
  const response = await instanceOf(env, containerId).fetch(new Request(request, { headers }));
  return verdictOf(response) === null ? moved(response) : response;
}

async function exchange(request: Request, routed: Routed, { runtime, hooks }: ProxyContext): Promise<Response> {
  const end = hooks.begin();
  request.signal.addEventListener("abort", end, { once: true });
  try {
    const response = await runtime.fetch(routed.port, inward(request, hooks));
    return passOn(response, request, routed, end);
  } catch (error) {
    end();
    if (isOfContainer(error)) hooks.onFailure();
    return verdictResponse(verdictFor(error, request));
  }
}

async function upgrade(request: Request, routed: Routed, { runtime, hooks }: ProxyContext): Promise<Response> {
  const { expiresAt, tokenVersion } = routed.session;
  const closing = new PendingClose();
  // Open from before the handshake, so that neither a sleep nor a revocation can pass it by in the middle of it.
  const end = hooks.begin(closing.close, tokenVersion);
  request.signal.addEventListener("abort", end, { once: true });
  try {
    const sent = inward(request, hooks);
    const response = await withDeadline(HANDSHAKE_MS, (signal) =>
      runtime.fetch(routed.port, new Request(sent, { signal })),
    );
    const container = response.webSocket;
    if (!container) return passOn(response, request, routed, end);
    const { 0: outside, 1: client } = new WebSocketPair();
    request.signal.removeEventListener("abort", end); // from here on the socket itself says when it ends
    container.accept();
    client.accept();
    const forget = closeAtExpiry(expiresAt, closing.close);
    const onEnd = () => {
      forget();
      end();
    };
    const isCurrent = () => hooks.isCurrent(routed.tenantId, routed.epoch);
    closing.opened(bridge(client, container, { isCurrent, onFrame: hooks.onActivity, onEnd }));
    const headers = toClient(response.headers, routed.exposure, request.headers.get("x-request-id"));
    return new Response(null, { status: 101, webSocket: outside, headers });
  } catch (error) {
    end();
    if (isOfContainer(error)) hooks.onFailure();
    return verdictResponse(verdictFor(error, request));
  }
}

/** The container's response as the client may see it; `end` is called when its body ended or nobody reads it any more. */
function passOn(response: Response, request: Request, routed: Routed, end: () => void): Response {
  const headers = toClient(response.headers, routed.exposure, request.headers.get("x-request-id"));
  const { status, statusText } = response;
  const init = statusText === "" ? { status, headers } : { status, statusText, headers };
  if (response.body === null || hasNoBody(response.status)) {
    end();
    return new Response(null, init);
  }
  const { readable, writable } = pipeFor(response.headers);
  response.body.pipeTo(writable).then(end, end);
  return new Response(readable, init);
}

/** A pipe that keeps a known length known. Encoded bodies are decoded on the way, so that their length is not what was announced. */
function pipeFor(headers: Headers): TransformStream<Uint8Array, Uint8Array> {
  const length = headers.get("content-length");
  const known = length !== null && /^\d{1,15}$/.test(length) && !headers.has("content-encoding");
  return known ? new FixedLengthStream(Number(length)) : new IdentityTransformStream();
}

/** The request as the container gets it: without our routing, with what it knows us by. */
function inward(request: Request, hooks: ProxyHooks): Request {
  const headers = new Headers(request.headers);
  headers.delete(ROUTE_HEADER);
  const token = hooks.gatewayToken();
  if (token !== null) headers.set(GATEWAY_TOKEN_HEADER, token);
  return new Request(request, { headers, redirect: "manual" }); // where to go is for the client to decide
}

/** Not so a client that went away. */
const isOfContainer = (error: unknown): boolean => error instanceof RuntimeError && error.code !== "timeout";

/** What a failed fetch means for a second try. Anything unknown counts as sent. */
function verdictFor(error: unknown, request: Request): Refusal {
  const nothingHappened =
    error instanceof RuntimeError && (error.code === "not_running" || error.code === "not_listening");
  if (!nothingHappened) return "lost";
  return request.body === null ? "absent" : "spent";
}
