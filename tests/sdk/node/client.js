// What programs written for openai-node do; one JSON line a case.
// The base URL and the key come from OPENAI_BASE_URL and OPENAI_API_KEY, as such programs have them.

import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const SAID = "Say this is a tést";
const ASK = { model: "gpt-4o-mini", messages: [{ role: "user", content: SAID }] };
const TOOLS = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];

const client = new OpenAI({ maxRetries: 0 });
const cases = [];

function test(name, body) {
  cases.push([name, body]);
}

/** What the upstream was asked since the last time, once nothing is in flight. */
async function asked() {
  const url = `${process.env.DEMO_ORIGIN}/demo/requests?settled`;
  return (await fetch(url, { method: "DELETE" })).json();
}

async function text(stream) {
  let said = "";
  for await (const chunk of stream) said += chunk.choices[0]?.delta?.content ?? "";
  return said;
}

/** The error of a call under a script that must fail: of this very kind. */
async function raised(kind, demo) {
  try {
    await client.chat.completions.create({ ...ASK, demo });
  } catch (error) {
    assert.equal(error.constructor, kind, String(error));
    return error;
  }
  assert.fail("nothing was raised");
}

test("chat", async () => {
  await asked();
  const reply = await client.chat.completions.create(ASK);
  const [request] = await asked();
  const headers = Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value]));
  assert.equal(reply.choices[0].message.content, SAID);
  assert.equal(reply.usage.total_tokens, 10);
  assert.match(reply._request_id, /^req_demo_/);
  assert.match(headers["user-agent"], /^OpenAI\/JS/);
  assert.notEqual(headers.authorization, `Bearer ${client.apiKey}`);
});

test("chat_stream", async () => {
  const stream = await client.chat.completions.create({ ...ASK, stream: true });
  assert.equal(await text(stream), SAID);
});

test("chat_stream_of_unusual_bytes", async () => {
  const demo = { crlf: true, comments: true, piece_bytes: 1 };
  const stream = await client.chat.completions.create({ ...ASK, stream: true, demo });
  assert.equal(await text(stream), SAID);
});

test("chat_stream_compressed", async () => {
  const demo = { encoding: "gzip", piece_bytes: 5 };
  const stream = await client.chat.completions.create({ ...ASK, stream: true, demo });
  assert.equal(await text(stream), SAID);
});

test("chat_stream_with_usage", async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ ...ASK, ...options })) chunks.push(chunk);
  const last = chunks.pop();
  assert.ok(chunks.every((chunk) => chunk.usage === null && chunk.choices.length === 1));
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, 10);
});

test("chat_n_and_logprobs", async () => {
  const reply = await client.chat.completions.create({ ...ASK, n: 2, logprobs: true, max_tokens: 2 });
  assert.deepEqual(reply.choices.map((choice) => choice.finish_reason), ["length", "length"]);
  assert.deepEqual(reply.choices[1].logprobs.content.map((entry) => entry.token), ["Say", " this"]);
});

test("tools_whole", async () => {
  const reply = await client.chat.completions.create({ ...ASK, tools: TOOLS, tool_choice: "required" });
  assert.equal(reply.choices[0].finish_reason, "tool_calls");
  assert.equal(reply.choices[0].message.tool_calls[0].function.arguments, '{"city":"demo"}');
});

test("tools_streamed", async () => {
  const stream = client.chat.completions.stream({ ...ASK, tools: TOOLS, demo: { tool_calls: 2 } });
  const { message } = (await stream.finalChatCompletion()).choices[0];
  assert.deepEqual(
    message.tool_calls.map((call) => call.function.arguments),
    ['{"city":"demo"}', '{"city":"demo"}'],
  );
});

test("tools_run", async () => {
  const said = [];
  const runner = client.chat.completions.runTools({
    ...ASK,
    tool_choice: "required",
    tools: [
      {
        type: "function",
        function: {
          ...TOOLS[0].function,
          parse: JSON.parse,
          function: ({ city }) => {
            said.push(city);
            return "sunny";
          },
        },
      },
    ],
  });
  await runner.done();
  assert.deepEqual(said, ["demo"]);
});

test("responses", async () => {
  const reply = await client.responses.create({ model: "gpt-4o-mini", input: SAID });
  assert.equal(reply.output_text, SAID);
});

test("responses_stream", async () => {
  const kinds = [];
  const stream = await client.responses.create({ model: "gpt-4o-mini", input: SAID, stream: true });
  for await (const event of stream) kinds.push(event.type);
  assert.equal(kinds.at(-1), "response.completed");
  assert.equal(kinds.filter((kind) => kind === "response.output_text.delta").length, 5);
});

test("embeddings", async () => {
  const [packed, plain] = await Promise.all([
    client.embeddings.create({ model: "text-embedding-3-small", input: "a" }),
    client.embeddings.create({ model: "text-embedding-3-small", input: "a", encoding_format: "float" }),
  ]);
  assert.deepEqual(packed.data[0].embedding, plain.data[0].embedding);
});

test("transcription_upload", async () => {
  const file = await toFile(Buffer.alloc(1_000_000, "x"), "a b.wav");
  const reply = await client.audio.transcriptions.create({ model: "whisper-1", file });
  assert.equal(reply.text, "a b.wav, 1000000 bytes");
});

test("speech_download", async () => {
  const reply = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: SAID });
  const sound = Buffer.from(await reply.arrayBuffer());
  assert.equal(sound.subarray(0, 4).toString(), "RIFF");
  assert.equal(sound.length, 44 + 5 * 1_600);
});

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("gpt-4o-mini"));
  assert.equal((await client.models.retrieve("gpt-4o-mini")).id, "gpt-4o-mini");
});

test("raw_response", async () => {
  const { data, response, request_id } = await client.chat.completions.create(ASK).withResponse();
  assert.equal(data.choices[0].message.content, SAID);
  assert.equal(request_id, response.headers.get("x-request-id"));
  assert.equal(response.headers.get("x-ratelimit-remaining-requests"), "9999");
  assert.ok(response.headers.get("x-gateway-request-id"));
});

test("errors", async () => {
  const failure = { status: 400, code: "context_length_exceeded", param: "messages" };
  const wrong = await raised(OpenAI.BadRequestError, { error: failure });
  assert.deepEqual([wrong.code, wrong.param], ["context_length_exceeded", "messages"]);
  assert.match(wrong.requestID, /^req_demo_/);
  assert.equal((await raised(OpenAI.NotFoundError, { error: 404 })).code, "model_not_found");
  assert.equal((await raised(OpenAI.RateLimitError, { error: 429 })).headers.get("retry-after"), "1");
  await raised(OpenAI.InternalServerError, { error: 500 });
  const cut = await raised(OpenAI.InternalServerError, { piece_bytes: 50, cut_after: 2 });
  assert.equal(cut.status, 502);
});

test("error_authentication", async () => {
  await assert.rejects(new OpenAI({ apiKey: "sk-gw-wrong", maxRetries: 0 }).chat.completions.create(ASK), (error) => {
    assert.equal(error.constructor, OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
});

test("own_retry", async () => {
  await asked();
  const demo = { error: { status: 429, times: 1 }, headers: { "retry-after-ms": "1" }, reply: "at last" };
  const reply = await new OpenAI({ maxRetries: 2 }).chat.completions.create({ ...ASK, demo });
  assert.equal(reply.choices[0].message.content, "at last");
  assert.deepEqual((await asked()).map((request) => request.status), [429, 200]);
});

test("no_retry_where_it_is_hopeless", async () => {
  await asked();
  const demo = { error: 429, headers: { "x-should-retry": "false" } };
  await assert.rejects(new OpenAI({ maxRetries: 2 }).chat.completions.create({ ...ASK, demo }), OpenAI.RateLimitError);
  assert.equal((await asked()).length, 1);
});

test("timeout", async () => {
  await asked();
  const call = client.chat.completions.create({ ...ASK, demo: { hang_after: -1 } }, { timeout: 1_000 });
  await assert.rejects(call, OpenAI.APIConnectionTimeoutError);
  assert.equal((await asked())[0].aborted, "waiting");
});

test("abort_before_the_first_byte", async () => {
  await asked();
  const call = client.chat.completions.create(
    { ...ASK, stream: true, demo: { delay_ms: 3_600_000 } },
    { signal: AbortSignal.timeout(1_000) },
  );
  await assert.rejects(call, OpenAI.APIUserAbortError);
  assert.equal((await asked())[0].aborted, "waiting");
});

test("abort_a_stream", async () => {
  await asked();
  const stream = await client.chat.completions.create({ ...ASK, stream: true, demo: { hang_after: 2 } });
  for await (const chunk of stream) {
    assert.equal(chunk.choices[0].delta.role, "assistant");
    break;
  }
  assert.equal((await asked())[0].aborted, "streaming");
});

test("broken_stream", async () => {
  const demo = { cut_after: 3, pace_ms: 10 };
  const stream = await client.chat.completions.create({ ...ASK, stream: true, demo });
  const chunks = [];
  await assert.rejects(async () => {
    for await (const chunk of stream) chunks.push(chunk);
  });
  assert.ok(chunks.length >= 1 && chunks.length <= 3);
});

for (const [name, body] of cases) {
  let error = null;
  try {
    await body();
  } catch (thrown) {
    error = thrown?.stack ?? String(thrown);
  }
  process.stdout.write(`${JSON.stringify({ case: name, error })}\n`);
}
