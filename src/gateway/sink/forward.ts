import { AwsClient } from "aws4fetch";
import { messageOf, sleep } from "../../durable/deadline.ts";
import { log } from "../../log.ts";
import { S3Error } from "../storage/errors.ts";
import { endpointOf } from "./endpoint.ts";
import type { Passed } from "./request.ts";
import type { KnownSink } from "./sinks.ts";

/** Requests to an S3 endpoint, signed with the sink's key, bodies streamed both ways. */

/** Until an answer begins. A body on its way up may take as long as the job that sends it. */
const ANSWER_MS = 60_000;
const UPLOAD_MS = 15 * 60_000;
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/** What the container gets to see of an answer. */
const ANSWERED =
  /^(?:content-type|content-length|content-range|content-encoding|content-language|content-disposition|cache-control|expires|etag|last-modified|accept-ranges|date|retry-after|x-amz-(?!request-id|id-2).*)$/i;

/** A body whose length is known, read once. */
export interface Body {
  stream: ReadableStream<Uint8Array>;
  length: number;
}

/**
 * Sends a request on. What may be repeated is, after 429, a 5xx or a lost connection; a body cannot be sent twice, so
 * that whoever sent it decides. @throws S3Error when there is no answer
 */
export async function forward(
  sink: KnownSink,
  passed: Passed,
  body: Body | Uint8Array<ArrayBuffer> | null,
  signal: AbortSignal,
): Promise<Response> {
  const attempts = passed.repeatable && body === null ? ATTEMPTS : 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await once(sink, passed, body, signal);
      if (attempt === attempts || (response.status !== 429 && response.status < 500)) return shown(response);
      const pauseMs = pauseAfter(attempt, response.headers.get("retry-after"));
      response.body?.cancel().catch(() => {}); // nobody reads it
      await sleep(pauseMs);
    } catch (error) {
      if (signal.aborted) throw new S3Error("RequestTimeout", "The client went away.");
      // The text may name the endpoint, which is for the log; nothing of the key is in it.
      log.warn("sink: no answer", { spec: sink.spec.id, attempt, error: messageOf(error) });
      if (attempt === attempts) throw new S3Error("ServiceUnavailable", "The sink does not answer.");
      await sleep(pauseAfter(attempt, null));
    }
  }
}

async function once(
  { spec, secretAccessKey }: KnownSink,
  { method, path, headers }: Passed,
  body: Body | Uint8Array<ArrayBuffer> | null,
  signal: AbortSignal,
): Promise<Response> {
  if (spec.sink.type !== "s3") throw new S3Error("InternalError", "This is no S3 sink.");
  const { accessKeyId, region } = spec.sink;
  const url = `${endpointOf(spec.sink)}${path}`;
  const plain = new Headers(headers);
  const signed =
    accessKeyId === undefined || secretAccessKey === null
      ? plain // a bucket that is open to all
      : (await signer(accessKeyId, secretAccessKey.reveal(), region).sign(url, { method, headers: plain })).headers;
  const sent = new Headers(signed);
  sent.set("accept-encoding", "identity"); // after signing: the platform may write another
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), body === null ? ANSWER_MS : UPLOAD_MS);
  try {
    return await fetch(url, {
      method,
      headers: sent,
      redirect: "manual",
      signal: AbortSignal.any([signal, deadline.signal]),
      ...(body === null ? {} : { body: body instanceof Uint8Array ? body : ofLength(body) }),
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Keeps the announced length, without which the body would go in chunks, and fails when it is cut short. */
function ofLength({ stream, length }: Body): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(length);
  stream.pipeTo(writable).catch(() => {}); // the request that reads the other end fails with it
  return readable;
}

const signer = (accessKeyId: string, secretAccessKey: string, region: string) =>
  new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });

function pauseAfter(attempt: number, retryAfter: string | null): number {
  const asked = retryAfter !== null && /^\d{1,3}$/.test(retryAfter) ? Number(retryAfter) * 1000 : 0;
  const doubled = FIRST_PAUSE_MS * 2 ** (attempt - 1) * (1 + Math.random() / 2);
  return Math.min(LONGEST_PAUSE_MS, Math.max(asked, doubled));
}

function shown(response: Response): Response {
  const headers = new Headers();
  for (const [name, value] of response.headers) if (ANSWERED.test(name)) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}
