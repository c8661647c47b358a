import { describe, expect, it } from "vitest";
import { withoutSecrets } from "../../src/instance/exec.ts";
import { Capture } from "../../src/runtime/capture.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("what a command prints", () => {
  it("is kept up to the limit of each stream, and counted beyond it", () => {
    const { stdout, stderr } = new Capture(5);
    for (const chunk of ["ab", "cd", "ef", "gh"]) stdout.push(bytes(chunk));
    stderr.push(bytes("12345"));
    expect(new TextDecoder().decode(stdout.bytes)).toBe("abcde");
    expect([stdout.length, stdout.truncated]).toEqual([8, true]);
    expect([stderr.length, stderr.truncated]).toEqual([5, false]);
  });

  it("does not change when the stream uses its buffer again", () => {
    const { stdout } = new Capture(10);
    const buffer = bytes("abc");
    stdout.push(buffer);
    buffer.fill(0);
    expect(new TextDecoder().decode(stdout.bytes)).toBe("abc");
  });
});

describe("output without secrets", () => {
  it("is whole, however long", () => {
    const text = "a line of some length that says nothing\n".repeat(10_000);
    expect(withoutSecrets(text)).toBe(text);
    expect(withoutSecrets("x ".repeat(100_000))).toBe("x ".repeat(100_000));
  });

  it("hides a private key also where pieces meet", () => {
    const key = `-----BEGIN PRIVATE KEY-----\n${"QUJDREVGR0g\n".repeat(400)}-----END PRIVATE KEY-----\n`;
    for (const before of [63_000, 63_990, 64_000]) {
      const safe = withoutSecrets(`${"-\n".repeat(before / 2)}${key}the end\n`);
      expect(safe).not.toContain("QUJDREVGR0g");
      expect(safe).toContain("the end");
    }
  });
});
