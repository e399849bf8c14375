#!/usr/bin/env python3
"""Compares the options in embr-img(1) with those of each command's --help.

    man-page.py MAN-PAGE EMBR-IMG SCHEMA

A command's options are those with a paragraph in its section, and those of "COMMON
OPTIONS" that its synopsis names. Those of `convert -o` have paragraphs, too; they are
compared with the schema.
"""
import re
import subprocess
import sys

page, program, schema = sys.argv[1:]
problems = []


def complain(text):
    problems.append(text)


def run(*args):
    return subprocess.run([program, *args], check=True, capture_output=True,
                          encoding='utf-8').stdout


def plain(line):
    """A line of roff without its macros, fonts and escapes."""
    if line.startswith('.'):
        name, _, rest = line[1:].partition(' ')
        words = re.findall(r'"([^"]*)"|(\S+)', rest)
        words = [quoted or word for quoted, word in words]
        # .BR and its like join their arguments, .B and .I have blanks between them
        line = ('' if len(name) == 2 else ' ').join(words)
    line = re.sub(r'\\f[A-Z]', '', line)
    return line.replace(r'\-', '-').strip()


def read_page(lines):
    """{section: (synopsis, [texts of .TP])}; sections by their .SH or .SS"""
    sections = {}
    texts, synopsis, in_synopsis, after_tp = [], [], True, False
    for line in lines:
        heading = re.match(r'\.S[HS] "?(.*?)"?$', line)
        if heading:
            synopsis, texts, in_synopsis = [], [], True
            sections[heading[1]] = synopsis, texts
        elif line.startswith(('.PP', '.TP')):
            in_synopsis = False
        elif after_tp:
            texts.append(plain(line))
        elif in_synopsis:
            synopsis.append(plain(line))
        after_tp = line == '.TP'
    return {name: (' '.join(s), t) for name, (s, t) in sections.items()}


# "-f, --format=FMT" and "--strict"
option_pattern = re.compile(r'(?:(-\w), )?--([\w-]+)(?:=(\S+))?')


def parse_option(text):
    """(short, long, argument), or None"""
    match = option_pattern.match(text)
    return match and match.groups()


def options_of_help(command):
    text = run(*command.split(), '--help')
    lines = text[text.index('Options:'):].splitlines()[1:]
    return {parse_option(line.strip()) for line in lines if line.strip()}


def options_of_page(command):
    synopsis, texts = sections[command]
    named = set(re.findall(r'(?<![\w-])(--[\w-]+|-\w)', synopsis))
    options = {parse_option(text) for text in texts if text.startswith('-')}
    shorts = {short for short, _, _ in options}
    for short, long, argument in common_options:
        if long == 'help' or (short in named and short not in shorts):
            options.add((short, long, argument))
        elif '--' + long in named:
            # Without its letter, if that is another option of the command
            options.add((None, long, argument))
    described = {name for short, long, _ in options for name in (short, '--' + long)}
    for name in named - described:
        complain(f'{command}: {name} of the synopsis is not described')
    for short, long, _ in options:
        if not named & {short, '--' + long} and long != 'help':
            complain(f'{command}: --{long} is not in the synopsis')
    return options


with open(page, encoding='utf-8') as file:
    sections = read_page(file.read().splitlines())
common_options = [parse_option(text) for text in sections['COMMON OPTIONS'][1]]

usage = run('--help')


def commands_of(text):
    return re.findall(r'^  (\w+) +\S', text[text.index('Commands:'):], re.M)


# Of a command that has commands of its own, each has a section.
commands = []
for name in commands_of(usage):
    text = run(name, '--help')
    commands += [name + ' ' + part for part in commands_of(text)] if 'Commands:' in text else [name]
end = list(sections).index('COMMANDS')
documented = [name for name in list(sections)[end + 1:] if name.islower()]
if len(commands) < 2 or sorted(commands) != documented:
    complain(f'the commands of the page are {documented}, those of --help {commands}')

for command in commands:
    if command not in sections:
        continue
    of_help, of_page = options_of_help(command), options_of_page(command)
    for option in sorted(map(str, of_help - of_page)):
        complain(f'{command}: {option} of --help is not in the page')
    for option in sorted(map(str, of_page - of_help)):
        complain(f'{command}: {option} of the page is not in --help')

with open(schema, encoding='utf-8') as file:
    structs = re.findall(r"'BlockdevCreateOptions\w+',\s*'data': {(.*?)}", file.read(), re.S)
of_schema = sorted({name.replace('-', '_') for name in re.findall(r"'\*?([\w-]+)':", ' '.join(structs))})
of_page = sorted(text.partition('=')[0] for text in sections['convert'][1]
                 if not text.startswith('-'))
if len(structs) < 2 or of_schema != of_page:
    complain(f'options of convert -o are {of_page}, in the schema {of_schema}')

for text in problems:
    print(f'{page}: {text}', file=sys.stderr)
sys.exit(bool(problems))
