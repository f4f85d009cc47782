// GitHub's own evaluator of expressions. In: JSON lines {text, contexts}; `text` holds ${{ … }}, or is an `if:`. Out: a
// JSON value a line. The package (@actions/expressions) is found below the folder that NODE_MODULES names.
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { Evaluator, Lexer, Parser, data } = await import(
  pathToFileURL(join(process.env.NODE_MODULES, "@actions/expressions/dist/index.js")).href
);
const STATUS = ["always", "success", "failure", "cancelled"].map((name) => ({
  name,
  minArgs: 0,
  maxArgs: 0,
  call: () => new data.BooleanData(name === "always" || name === "success"),
}));

function wrapped(value) {
  if (value === null || value === undefined) return new data.Null();
  if (typeof value === "boolean") return new data.BooleanData(value);
  if (typeof value === "number") return new data.NumberData(value);
  if (typeof value === "string") return new data.StringData(value);
  if (Array.isArray(value)) return new data.Array(...value.map(wrapped));
  return new data.Dictionary(...Object.entries(value).map(([key, v]) => ({ key, value: wrapped(v) })));
}

function evaluated(text, contexts) {
  const { tokens } = new Lexer(text).lex();
  const functions = new Map(STATUS.map((f) => [f.name, f]));
  const tree = new Parser(tokens, Object.keys(contexts), STATUS).parse();
  return new Evaluator(tree, wrapped(contexts), functions).evaluate();
}

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { text, contexts } = JSON.parse(line);
  const said = text.includes("${{")
    ? text.replace(/\$\{\{([^]*?)\}\}/g, (_, inner) => evaluated(inner, contexts).coerceString())
    : evaluated(text, contexts);
  console.log(JSON.stringify(typeof said === "string" ? said : said.value ?? said.coerceString()));
}
