import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver, { type S3Context } from "s3rver";

/** A real S3 server for tests. Its one key pair is built in. s3rver 3.7 believes every signature of version 4, so they are verified here. */
export const S3_KEY = "S3RVER";
export const S3_BUCKET = "sink";

export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  stop(): Promise<void>;
}

export async function startS3(): Promise<S3Server> {
  const directory = mkdtempSync(join(tmpdir(), "boilerhouse-s3-"));
  const server = new S3rver({
    address: "127.0.0.1",
    port: 0,
    directory,
    silent: true,
    configureBuckets: [{ name: S3_BUCKET }],
  });
  server.middleware.unshift(verifying);
  const { port } = await server.run();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    stop: async () => {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** How often each request was refused for its key (`…/flaky-2/…`: twice). */
const refused = new Map<string, number>();

async function verifying(context: S3Context, next: () => Promise<void>): Promise<void> {
  const problem = busy(context.req) ?? signatureProblem(context.req);
  if (problem === null) return next();
  context.status = problem === "SlowDown" ? 503 : 403;
  context.type = "application/xml";
  context.body = `<?xml version="1.0"?><Error><Code>${problem}</Code><Message>of the test's server</Message></Error>`;
}

function busy({ method = "", url = "" }: S3Context["req"]): string | null {
  const times = Number(/flaky-(\d)\//.exec(decodeURIComponent(url))?.[1] ?? 0);
  const name = `${method} ${url.split("?")[0]}`;
  const before = refused.get(name) ?? 0;
  refused.set(name, before + 1);
  return before < times ? "SlowDown" : null;
}

const FORM =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** AWS Signature Version 4, as "Authenticating Requests (AWS Signature Version 4)" has it. */
function signatureProblem({ method = "", url = "", headers }: S3Context["req"]): string | null {
  const [, key = "", day = "", region = "", names = "", given = ""] = FORM.exec(headers.authorization ?? "") ?? [];
  if (key !== S3_KEY) return key === "" ? "AccessDenied" : "InvalidAccessKeyId";
  const [path = "", query = ""] = url.split("?");
  const canonical = [
    method,
    path,
    query
      .split("&")
      .filter(Boolean)
      .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
      .sort()
      .join("&"),
    ...names.split(";").map(
      (name) =>
        `${name}:${String(headers[name] ?? "")
          .trim()
          .replaceAll(/ +/g, " ")}`,
    ),
    "",
    names,
    headers["x-amz-content-sha256"],
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const hash = createHash("sha256").update(canonical).digest("hex");
  const text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hash].join("\n");
  const signing = [day, region, "s3", "aws4_request"].reduce(hmac, Buffer.from(`AWS4${S3_KEY}`));
  return timingSafeEqual(hmac(signing, text), Buffer.from(given, "hex")) ? null : "SignatureDoesNotMatch";
}

const hmac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
