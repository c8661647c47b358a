import { describe, expect, it } from "vitest";
import { planted } from "../planted.ts";

const at = (file: string) => new URL(`../../../${file}`, import.meta.url).pathname;
const source = "if (a) return 1;\nif (b) return 2;\n";

describe("planted bugs", () => {
  it("stand in place of the text that they name, in their file only", () => {
    const bug = [{ file: "src/x.ts", text: "if (a) ", replacement: "" }];
    expect(planted(at("src/x.ts"), source, bug)).toBe("return 1;\nif (b) return 2;\n");
    expect(planted(at("src/y.ts"), source, bug)).toBe(source);
  });

  it("that fit nowhere, or twice, are an error", () => {
    const fits = (text: string) => () => planted(at("src/x.ts"), source, [{ file: "src/x.ts", text, replacement: "" }]);
    expect(fits("if (c)")).toThrow("fits 0 times");
    expect(fits("return")).toThrow("fits 2 times");
  });
});
