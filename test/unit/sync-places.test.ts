import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { endpointProblem } from "../../src/gateway/sink/endpoint.ts";
import { checkDeletion, passedOn } from "../../src/gateway/sink/request.ts";
import { addressOf } from "../../src/gateway/storage/address.ts";
import { S3Error } from "../../src/gateway/storage/errors.ts";
import { operationOf } from "../../src/gateway/storage/operation.ts";
import { encodedTenant, mayRead, mayWrite, placeOf, placesOf, stampOf } from "../../src/sync/places.ts";
import type { SyncMapping, SyncSpec } from "../../src/sync/spec.ts";

const TENANT = `\${tenantId}`;
const aMapping = (more: Partial<SyncMapping> = {}): SyncMapping => ({
  containerPath: "/data",
  sinkPath: "data/",
  direction: "upload",
  mode: "sync",
  exclude: [],
  ...more,
});
const aSpec = (prefix: string, ...mappings: SyncMapping[]): Pick<SyncSpec, "sink" | "mappings"> => ({
  sink: { type: "s3", bucket: "bucket", region: "auto", prefix, rcloneFlags: [] },
  mappings: mappings.length > 0 ? mappings : [aMapping()],
});

describe("a tenant's place in a sink", () => {
  const names = fc.oneof(
    fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,20}$/),
    fc.string({ minLength: 1 }),
    fc.constantFrom("..", ".", "../bob", "a/b", "%2e%2e", "bob/", ".versions"),
  );

  test("is one component, whatever the tenant is called", () => {
    fc.assert(
      fc.property(names, (id) => {
        const name = encodedTenant(id);
        expect(name).not.toMatch(/\//);
        expect([".", "..", ""]).not.toContain(name);
        expect(name.startsWith(".")).toBe(false);
      }),
    );
  });

  test("is never within another tenant's", () => {
    const templates = fc.constantFrom(
      `t/${TENANT}/`,
      `${TENANT}/`,
      `a${TENANT}b/`,
      `${TENANT}-${TENANT}/`,
      `x/${TENANT}/y/`,
    );
    fc.assert(
      fc.property(templates, names, names, fc.string(), (prefix, one, other, rest) => {
        fc.pre(encodedTenant(one) !== encodedTenant(other));
        const spec = aSpec(prefix);
        const [place] = placesOf(spec, one);
        const key = `${place?.prefix}${rest}`;
        expect(mayRead(placesOf(spec, other), key)).toBe(false);
        expect(mayWrite(placesOf(spec, other), `${place?.versions}${stampOf(0)}/${place?.below}${rest}`)).toBe(false);
      }),
    );
  });

  test("tells what is read from what is written", () => {
    const spec = aSpec(
      `t/${TENANT}/`,
      aMapping({ sinkPath: "in/", direction: "download" }),
      aMapping({ sinkPath: "out/" }),
    );
    const places = placesOf(spec, "ann");
    expect([mayRead(places, "t/ann/in/x"), mayWrite(places, "t/ann/in/x")]).toEqual([true, false]);
    expect([mayRead(places, "t/ann/out/x"), mayWrite(places, "t/ann/out/x")]).toEqual([true, true]);
    expect([mayRead(places, "t/ann/other/x"), mayWrite(places, "t/ann/other/x")]).toEqual([false, false]);
  });

  test("has versions beside it, of its own mapping only", () => {
    const places = placesOf(aSpec(`t/${TENANT}/`, aMapping({ sinkPath: "out/" })), "ann");
    const at = stampOf(Date.UTC(2026, 0, 2, 3, 4, 5, 6));
    expect(at).toBe("20260102T030405006Z");
    expect(mayWrite(places, `t/ann/.versions/${at}/out/a`)).toBe(true);
    for (const key of [
      `t/ann/.versions/${at}/in/a`,
      "t/ann/.versions/out/a",
      `t/ann/.versions/x${at}/out/a`,
      "t/ann/.versions/",
    ]) {
      expect(mayWrite(places, key), key).toBe(false);
    }
  });

  test("of a shared prefix is where its own path says", () => {
    const place = placeOf(aSpec("shared/"), aMapping({ sinkPath: `${TENANT}/logs/` }), "ann");
    expect(place).toMatchObject({ prefix: "shared/ann/logs/", versions: "shared/.versions/", below: "ann/logs/" });
  });
});

describe("a request to an S3 sink", () => {
  const places = placesOf(
    aSpec(`t/${TENANT}/`, aMapping({ sinkPath: "out/" }), aMapping({ sinkPath: "in/", direction: "download" })),
    "ann",
  );
  const at = { bucket: "bucket", own: "spec-s", places };
  const pass = (method: string, path: string, given: Record<string, string> = {}) => {
    const address = addressOf(`http://sink.internal/spec-s${path}`);
    const headers = new Headers(given);
    return passedOn(operationOf(method, address, headers), { method, headers, query: address.query }, at);
  };
  const codeOf = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      return error instanceof S3Error ? error.code : String(error);
    }
    return "passed";
  };

  test.each([
    ["GET", "/t/ann/out/a"],
    ["GET", "/t/ann/in/a"],
    ["HEAD", "/t/ann/in/a"],
    ["PUT", "/t/ann/out/a"],
    ["DELETE", "/t/ann/out/a"],
    ["GET", "?list-type=2&prefix=t%2Fann%2Fout%2F"],
    ["POST", "/t/ann/out/a?uploads="],
    ["PUT", "/t/ann/out/a?partNumber=1&uploadId=u"],
    ["POST", "/t/ann/out/a?uploadId=u"],
  ])("%s %s is passed on", (method, path) => {
    expect(pass(method, path).path).toMatch(/^\/bucket/);
  });

  test.each([
    ["GET", "/t/bob/out/a"],
    ["GET", "/t/annex/out/a"],
    ["PUT", "/t/ann/in/a"],
    ["PUT", "/t/ann/out"],
    ["DELETE", "/t/bob/out/a"],
    ["GET", "?list-type=2&prefix=t%2F"],
    ["GET", "?list-type=2"],
    ["GET", "?prefix=t%2Fbob%2Fout%2F"],
    ["POST", "/t/bob/out/a?uploads="],
    ["PUT", "/t/bob/out/a?partNumber=1&uploadId=u"],
    ["POST", "/t/bob/out/a?uploadId=u"],
  ])("%s %s is not this tenant's", (method, path) => {
    expect(codeOf(() => pass(method, path))).toBe("AccessDenied");
  });

  test.each(["/t/ann/out/%2E%2E%2F%2E%2E%2Fbob%2Fout%2Fa", "/t/ann/out/x%2F..%2Fy", "/t/ann/out/../../bob/out/a"])(
    "PUT %s names no key that an S3 URL could say",
    (path) => {
      expect(codeOf(() => pass("PUT", path))).toBe("InvalidURI");
    },
  );

  test("copies within the tenant's place only, and names the bucket anew", () => {
    const from = (source: string) => pass("PUT", "/t/ann/out/a", { "x-amz-copy-source": source });
    expect(from("spec-s/t/ann/in/b%20c").headers.get("x-amz-copy-source")).toBe("bucket/t/ann/in/b%20c");
    for (const source of ["spec-s/t/bob/out/a", "bucket/t/ann/out/a", "state/a", "/spec-other/t/ann/out/a", "spec-s"]) {
      expect(
        codeOf(() => from(source)),
        source,
      ).toBe("AccessDenied");
    }
  });

  test("deletes several only where all are the tenant's", () => {
    const body = (...keys: string[]) =>
      `<Delete>${keys.map((key) => `<Object><Key>${key}</Key></Object>`).join("")}</Delete>`;
    const code = (xml: string) => codeOf(() => checkDeletion(xml, places));
    expect(code(body("t/ann/out/a", "t/ann/out/b"))).toBe("passed");
    expect(code(body("t/ann/out/a", "t/bob/out/b"))).toBe("AccessDenied");
    expect(code(body("t/ann/in/a"))).toBe("AccessDenied");
    expect(code(body("t/ann/out/../../bob/a"))).toBe("InvalidURI");
    for (const xml of [
      "",
      "<Delete/>",
      body("t/ann/out/a")
        .replace("</Delete>", "<Object ><Key >t/bob/a</Key ></Object></Delete>")
        .replace("<Object >", "<Thing>"),
      `<!DOCTYPE x>${body("t/ann/out/a")}`,
    ]) {
      expect(code(xml), xml).toBe("MalformedXML");
    }
  });

  test("leaves behind what is about our side, and keys of ours above all", () => {
    const { headers } = pass("PUT", "/t/ann/out/a", {
      authorization: "AWS4-HMAC-SHA256 Credential=ours/x",
      "x-boilerhouse-access-key": "ours",
      "x-amz-security-token": "x",
      "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
      cookie: "a=b",
      "content-md5": "q",
      "x-amz-meta-mtime": "1.5",
    });
    expect([...headers.keys()].sort()).toEqual(["content-md5", "x-amz-meta-mtime"]);
  });

  test("in signed chunks cannot be signed again", () => {
    const chunked = { "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" };
    expect(codeOf(() => pass("PUT", "/t/ann/out/a", chunked))).toBe("NotImplemented");
  });

  test("keeps every key that S3 can name as it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }), (name) => {
        fc.pre(!/[\0/\\?#]/.test(name) && name.isWellFormed() && name !== "." && name !== "..");
        const { path } = pass("PUT", `/t/ann/out/${encodeURIComponent(name)}`);
        expect(decodeURIComponent(new URL(`https://s3${path}`).pathname)).toBe(`/bucket/t/ann/out/${name}`);
      }),
    );
  });
});

describe("an endpoint", () => {
  test.each([
    "http://s3.example.com",
    "https://127.0.0.1",
    "https://localhost",
    "https://minio",
    "https://10.1.2.3",
    "https://172.20.0.1/path",
    "https://192.168.1.1",
    "https://169.254.169.254",
    "https://100.100.0.1",
    "https://0x7f000001",
    "https://2130706433",
    "https://127.1",
    "https://[::1]",
    "https://[::ffff:10.0.0.1]",
    "https://[fd00::1]",
    "https://[fe80::1]",
    "https://[2002:7f00:1::]",
    "https://sink.internal",
    "https://a.localhost.",
  ])("%s is none of a deployment", (endpoint) => {
    expect(endpointProblem(endpoint, "production")).not.toBeNull();
    expect(endpointProblem(endpoint, "development")).toBeNull();
  });

  test.each([
    "https://s3.us-west-2.amazonaws.com",
    "https://8.8.8.8",
    "https://[2606:4700::1]/path",
    "https://172.15.0.1",
  ])("%s may be one", (endpoint) => {
    expect(endpointProblem(endpoint, "production")).toBeNull();
  });
});
