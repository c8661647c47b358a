/** A page of documentation as the steps that it consists of, so that a test can take them. */
export type Step =
  /** ` ```LANGUAGE PATH `: a file to write. */
  | { readonly kind: "file"; readonly path: string; readonly content: string }
  /** ` ```diff PATH `: lines to replace in a file. */
  | { readonly kind: "edit"; readonly path: string; readonly before: string; readonly after: string }
  /** ` ```sh `: commands; `#=> text` after them is what they print. `sh fails`: they are refused. `sh start`: they go on. */
  | {
      readonly kind: "run";
      readonly mode: "succeeds" | "fails" | "start";
      readonly script: string;
      readonly prints: readonly string[];
    };

/** Pure. @throws for a block that is none of these */
export function stepsOf(page: string): Step[] {
  return [...page.matchAll(/^```(\S+)(?: (\S+))?\n(.*?)^```$/gms)].map(([, language = "", word = "", content = ""]) => {
    if (language === "diff") return editOf(word, content);
    if (language !== "sh") {
      if (word === "") throw new Error(`a block of ${language} without a path: ${content.slice(0, 80)}`);
      return { kind: "file", path: word, content };
    }
    const lines = content.split("\n");
    const prints = lines.filter((line) => line.startsWith("#=> ")).map((line) => line.slice(4));
    const script = lines.filter((line) => !line.startsWith("#=> ")).join("\n");
    if (word !== "" && word !== "fails" && word !== "start") throw new Error(`a block of sh ${word}`);
    return { kind: "run", mode: word === "" ? "succeeds" : word, script, prints };
  });
}

function editOf(path: string, content: string): Step {
  const lines = content.split("\n").slice(0, -1);
  const without = (mark: string) =>
    lines
      .filter((line) => !line.startsWith(mark))
      .map((line) => line.slice(1))
      .join("\n");
  return { kind: "edit", path, before: without("+"), after: without("-") };
}
