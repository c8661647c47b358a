import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { configOf } from "../../src/config.ts";
import { messageOf } from "../../src/durable/deadline.ts";
import { problemDocument } from "../../src/errors/problem.ts";
import { lineOf, log, setLogLevel } from "../../src/log.ts";
import { failed } from "../../src/outcome.ts";

afterEach(() => {
  setLogLevel("info");
  vi.restoreAllMocks();
});

describe("the log", () => {
  test("is one line of JSON for an event, without secrets", () => {
    const line = lineOf("warn", "refused Bearer planted-0123", {
      requestId: "r-1",
      level: "none",
      error: new Error("password=planted\nsecond line"),
    });
    expect(line).not.toContain("\n");
    expect(line).not.toContain("planted");
    expect(JSON.parse(line)).toMatchObject({
      level: "warn",
      message: "refused Bearer [redacted]",
      requestId: "r-1",
      error: { name: "Error" },
    });
  });

  test("shows nothing below its level", () => {
    const lines: string[] = [];
    for (const level of ["debug", "info", "warn", "error"] as const) {
      vi.spyOn(console, level).mockImplementation((line) => lines.push(JSON.parse(line).level));
    }
    setLogLevel("warn");
    for (const level of ["debug", "info", "warn", "error"] as const) log[level]("said");
    expect(lines).toEqual(["warn", "error"]);
  });

  test("takes its level and what must not show from the configuration", () => {
    const shown = vi.spyOn(console, "info").mockImplementation(() => {});
    const env = { ADMIN_KEY: "a planted admin key", SECRETS_KEY: "wrong, and still secret", LOG_LEVEL: "error" };
    expect(configOf(env).missing).toEqual(["SECRETS_KEY"]);
    log.info("quiet");
    expect(shown).not.toHaveBeenCalled();
    expect(lineOf("info", `a ${env.ADMIN_KEY}`, { also: env.SECRETS_KEY })).toBe(
      '{"level":"info","message":"a [redacted]","also":"[redacted]"}',
    );
  });

  test("is the only place of src that writes to the console", () => {
    const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
    expect(files).toContain("log.ts");
    const writing = files.filter((name) => /\bconsole\s*[.[]/.test(code(readFileSync(`src/${name}`, "utf8"))));
    expect(writing).toEqual(["log.ts"]);
  });
});

/** Without comments. */
const code = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");

describe("without secrets are", () => {
  test("problems, in detail and in every further member", () => {
    const document = problemDocument(
      {
        code: "start_failed",
        detail: "init said: DATABASE_URL=postgres://ann:planted@db.example/x refused",
        extra: { errors: [{ pointer: "/secrets/A", detail: "token=planted" }], secretAccessKey: "planted" },
      },
      "r-1",
    );
    expect(JSON.stringify(document)).not.toContain("planted");
    expect(document.detail).toContain("db.example/x refused");
    expect(document.errors).toEqual([{ pointer: "/secrets/A", detail: "token=[redacted]" }]);
  });

  test("failures, before anyone stores them, and what caught errors say", () => {
    expect(failed("save_failed", "rclone: secret_access_key=planted").failure.detail).not.toContain("planted");
    expect(messageOf(new Error("Authorization: Bearer planted"))).toBe("Authorization: [redacted]");
  });
});
