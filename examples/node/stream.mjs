// Show an answer word by word as it is written, and then what it took.

import OpenAI from "openai";

const question = process.argv.slice(2).join(" ") || "Say this is a test";

const stream = await new OpenAI().chat.completions.create({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: question }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const { choices, usage } of stream) {
  // The last chunk has no choices: it brings the usage.
  process.stdout.write(choices[0]?.delta.content ?? "");
  if (usage) console.log(`\n[${usage.prompt_tokens} + ${usage.completion_tokens} tokens]`);
}
