import { announce, bytesOf, carried, knownLength, streamOf } from "./streams.ts";

/** Captured before a world replaces the globals. */
const PlainRequest = Request;
const PlainResponse = Response;

/** What a body was made of, where that was bytes; they cross the network without a stream. */
const whole = new WeakMap<object, string | Uint8Array<ArrayBuffer>>();

type Body = BodyInit | null | undefined;

function remember(message: Request | Response, body: Body): void {
  if (typeof body === "string") whole.set(message, body);
  else if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    whole.set(message, bytesOf(body).slice());
  } else if (body instanceof URLSearchParams) whole.set(message, body.toString());
  else if (body instanceof ReadableStream && message.body && message.body !== body) {
    const length = knownLength(body);
    if (length !== undefined) announce(message.body, length);
  }
}

/** Node's, with what workerd's takes. */
export class WorldRequest extends PlainRequest {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    const streams = init?.body instanceof ReadableStream;
    super(input as string, streams ? ({ ...init, duplex: "half" } as RequestInit) : init);
    if (init?.body !== undefined && init.body !== null) remember(this, init.body as Body);
    else if (input instanceof PlainRequest) {
      const bytes = whole.get(input);
      if (bytes !== undefined) whole.set(this, bytes);
      else if (input.body && this.body) {
        const length = knownLength(input.body);
        if (length !== undefined) announce(this.body, length);
      }
    }
  }
}

interface WorldResponseInit extends ResponseInit {
  webSocket?: WebSocket | null;
}

/** Node's, with sockets and the status 101. */
export class WorldResponse extends PlainResponse {
  override readonly webSocket: WebSocket | null;

  constructor(body?: Body, init: WorldResponseInit = {}) {
    const { webSocket = null, encodeBody: _encoded, ...rest } = init as WorldResponseInit & { encodeBody?: string };
    super(body as BodyInit, rest.status === 101 ? { ...rest, status: 200 } : rest);
    this.webSocket = webSocket;
    if (rest.status === 101) Object.defineProperty(this, "status", { value: 101 });
    remember(this, body);
  }

  static override json(value: unknown, init: ResponseInit = {}): WorldResponse {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new WorldResponse(JSON.stringify(value), { ...init, headers });
  }
}

/** How a body is carried: whether its source still lives, and after how many bytes the connection breaks. */
export interface Carriage {
  alive: () => boolean;
  breakAfter: number | null;
}

/** A request as the other side gets it. `signal` is the one that the platform gives it there. */
export function requestAcross(request: Request, carriage: Carriage, signal: AbortSignal): Request {
  const headers = new Headers(request.headers);
  const { body, length } = bodyAcross(request, carriage);
  if (length !== undefined && body !== null) headers.set("content-length", String(length));
  const { method, redirect } = request;
  return new WorldRequest(request.url, {
    method,
    headers,
    redirect,
    signal,
    ...(body !== null && { body }),
  } as RequestInit);
}

export function responseAcross(response: Response, carriage: Carriage): Response {
  // Nobody else has one that was just made of bytes.
  if (whole.has(response) && !response.bodyUsed && carriage.breakAfter === null) return withLength(response);
  const { status, statusText, headers } = response;
  const webSocket = (response as WorldResponse).webSocket ?? null;
  const { body, length } = bodyAcross(response, carriage);
  const sent = new Headers(headers);
  if (length !== undefined && body !== null && !sent.has("content-length")) sent.set("content-length", String(length));
  return new WorldResponse(body as BodyInit | null, { status, statusText, headers: sent, webSocket });
}

function withLength(response: Response): Response {
  const kept = whole.get(response) ?? "";
  if (!response.headers.has("content-length")) {
    response.headers.set("content-length", String(typeof kept === "string" ? Buffer.byteLength(kept) : kept.length));
  }
  return response;
}

function bodyAcross(
  message: Request | Response,
  { alive, breakAfter }: Carriage,
): { body: ReadableStream<Uint8Array> | Uint8Array | null; length: number | undefined } {
  const kept = message.bodyUsed ? undefined : whole.get(message);
  if (kept !== undefined) {
    const bytes = bytesOf(kept);
    return {
      body: breakAfter === null ? bytes : streamOf(bytes, Math.min(breakAfter, bytes.length)),
      length: bytes.length,
    };
  }
  if (message.body === null) return { body: null, length: undefined };
  const length = knownLength(message.body);
  return { body: carried(message.body as ReadableStream<Uint8Array>, alive, breakAfter ?? undefined), length };
}
