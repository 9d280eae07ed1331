"""LangChain: a chain whose answer is streamed, and a model that calls a tool of ours."""

from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="gpt-4o-mini", temperature=0)


@tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It rains in {city}."


# A chain: prompt, model, text.
prompt = ChatPromptTemplate.from_template("Name three sights of {city}.")
for piece in (prompt | llm | StrOutputParser()).stream({"city": "Paris"}):
    print(piece, end="", flush=True)
print()

# A tool: the model says which it wants, we call it, the model goes on with what it said.
able = llm.bind_tools([weather])
messages = [HumanMessage("Do I need an umbrella in Paris?")]
messages.append(able.invoke(messages))
for call in messages[-1].tool_calls:
    print(f"[{call['name']} {call['args']}]")
    messages.append(weather.invoke(call))
for chunk in able.stream(messages):
    print(chunk.text, end="", flush=True)
print()
