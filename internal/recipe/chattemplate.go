package recipe

import (
	"maps"
	"slices"
)

// ChatTemplates are the names that chat_template may have for a template:
// those of mergekit 0.1.5.
var ChatTemplates = slices.Sorted(maps.Keys(chatTemplates))

// ChatTemplate returns the Jinja text of one of ChatTemplates.
func ChatTemplate(name string) string { return chatTemplates[name] }

// chatTemplates render what mergekit's templates of these names render, odd
// line breaks and indents included (testdata/interop/templates.py compares
// them). White space between the tags counts for nothing, whatever the
// settings of the renderer.
var chatTemplates = map[string]string{
	"alpaca": `{%- set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | list %}
{{- system[-1] | trim if system else '' }}{{ '\n\n' }}
{%- set headings = {'user': 'Instruction', 'assistant': 'Response', 'user_context': 'Input'} %}
{%- for message in messages if message.role in headings %}
{{- '### ' ~ headings[message.role] ~ ':\n' ~ message.content | trim }}
{%- if message is not sameas messages[-1] %}{{ '\n\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt and messages[-1].role != 'assistant' %}{{ '### Response:\n' }}{% endif %}
`,
	"chatml": `{%- for message in messages %}
{{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
`,
	"exaone": `{%- if messages and messages[0].role != 'system' %}{{ '        [|system|][|endofturn|]\n\n' }}{% endif %}
{%- for message in messages %}
{{- '    [|' ~ message.role ~ '|]' ~ message.content ~ '\n        ' }}
{{- '\n\n' if message.role == 'user' else '[|endofturn|]\n\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '    [|assistant|]\n' }}{% endif %}
`,
	"llama3": `{%- for message in messages %}
{{- bos_token if loop.first else '' }}
{{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\n\n' ~ message.content | trim ~ '<|eot_id|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}
`,
	"mistral": `{{- bos_token }}
{%- set first = 1 if messages[0].role == 'system' else 0 %}
{%- for message in messages[first:] %}
{%- if message.role == 'user' and loop.index0 % 2 == 0 %}
{{- ' [INST] ' ~ (messages[0].content ~ '\n\n' if first and loop.first else '') ~ message.content ~ ' [/INST]' }}
{%- elif message.role == 'assistant' and loop.index0 % 2 == 1 %}
{{- ' ' ~ message.content ~ eos_token }}
{%- else %}
{{- raise_exception('after a system message, which may be missing, user and assistant take turns') }}
{%- endif %}
{%- endfor %}
`,
}
