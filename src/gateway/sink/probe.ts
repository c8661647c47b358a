import { configOf } from "../../config.ts";
import { messageOf, within } from "../../durable/deadline.ts";
import { classifySync, type SyncProblem } from "../../sync/classify.ts";
import { TENANT } from "../../sync/spec.ts";
import { encodeKey } from "../storage/address.ts";
import { S3Error } from "../storage/errors.ts";
import { childText, parseXml, type XmlNode } from "../storage/xml-parse.ts";
import { endpointOf, endpointProblem } from "./endpoint.ts";
import { forward } from "./forward.ts";
import type { KnownSink } from "./sinks.ts";

/** Whether a sink takes a small object, gives it back, and lets it go. */
export interface ProbeResult {
  healthy: boolean;
  /** ms since 1970. */
  checkedAt: number;
  problem: SyncProblem | null;
  detail: string | null;
}

/** Where `${tenantId}` would be; no tenant's id begins with a dot. */
const NOBODY = ".boilerhouse-probe";
const PROBE_MS = 20_000;

/** Never throws: what goes wrong is the result. */
export async function probe(env: Env, sink: KnownSink, now: number): Promise<ProbeResult> {
  const name = `${NOBODY}-${crypto.randomUUID()}`;
  const content = `boilerhouse ${name}\n`;
  try {
    const found =
      sink.spec.sink.type === "s3" ? await inS3(env, sink, name, content) : await inR2(env, sink, name, content);
    if (found === content) return { healthy: true, checkedAt: now, problem: null, detail: null };
    return { healthy: false, checkedAt: now, problem: "rclone_error", detail: "The object came back as another." };
  } catch (error) {
    const sentence = error instanceof S3Error ? `api error ${error.code}: ${error.message}` : messageOf(error);
    const problem =
      error instanceof S3Error && error.code === "ServiceUnavailable" ? "network_error" : classifySync(sentence);
    return { healthy: false, checkedAt: now, problem, detail: sentence.slice(0, 500) };
  }
}

/** Under the tenants' prefix: a policy of the bucket may allow no other place. */
async function inS3(env: Env, sink: KnownSink, name: string, content: string): Promise<string> {
  if (sink.spec.sink.type !== "s3") throw new S3Error("InternalError", "This is no S3 sink.");
  const wrong = endpointProblem(endpointOf(sink.spec.sink), configOf(env).environment);
  if (wrong !== null) throw new S3Error("AccessDenied", `The sink's endpoint ${wrong}.`);
  const { bucket, prefix } = sink.spec.sink;
  const path = `/${bucket}/${encodeKey(`${prefix.replaceAll(TENANT, NOBODY)}${name}`)}`;
  const bytes = new Uint8Array(Buffer.from(content));
  const send = async (method: string, body: Uint8Array<ArrayBuffer> | null): Promise<string> => {
    const passed = { method, path, headers: new Headers(), repeatable: body === null };
    const response = await forward(sink, passed, body, AbortSignal.timeout(PROBE_MS));
    const text = await response.text();
    if (response.ok) return text;
    const said = problemIn(text);
    const [code, message] = ["Code", "Message"].map((name) => (said && childText(said, name)) ?? "");
    throw new Error(`${method}: StatusCode: ${response.status}, api error ${code}: ${message}`);
  };
  await send("PUT", bytes);
  try {
    return await send("GET", null);
  } finally {
    await send("DELETE", null);
  }
}

/** Null for an answer that is none of S3's. */
function problemIn(text: string): XmlNode | null {
  try {
    return parseXml(text, "Error");
  } catch {
    return null;
  }
}

async function inR2(env: Env, { spec }: KnownSink, name: string, content: string): Promise<string> {
  const key = `probes/${spec.id}/${name}`;
  const there = async (): Promise<string> => (await (await env.BUCKET.get(key))?.text()) ?? "";
  await within(PROBE_MS, "R2", env.BUCKET.put(key, content));
  try {
    return await within(PROBE_MS, "R2", there());
  } finally {
    await within(PROBE_MS, "R2", env.BUCKET.delete(key));
  }
}
