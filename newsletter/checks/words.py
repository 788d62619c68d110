"""Find words that have run into each other ('demandthat'), by a small list of English words of this house's own."""

from __future__ import annotations

import re
from collections.abc import Iterator


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that crawls, copied pages and lost links glue to their neighbours. Those that also end or begin many English
# words (in, on, at, as, an, out, over, under) are left out of the first two sets; what remains is listed in _WHOLE.
_AFTER = _listed(
    """
    that the and with from which this these those their there were been have will would could should because
    against between after before while when where who whose what about into during through until for are has of
    to
    """
)
_BEFORE = _listed(
    """
    that the and with from which this these those their were been have would could should because against
    between while when where who whose during through until
    """
)
_SHORT = frozenset(
    f"{first}{second}"
    for first in _listed("of in to on for by at with from and that as is was")
    for second in _listed("the this their that these those which")
)
# Words that look like two of the lists and are one.
_WHOLE = _listed(
    """
    cannot forthwith therewith herewith wherewith therefrom wherefrom roundabout whereabout whereabouts
    thereabout hereabout turnabout walkabout runabout hereafter thereafter hereinafter meanwhile worthwhile
    erstwhile somewhere elsewhere anywhere everywhere nowhere therefor wherefor thereof whereof hereof hereto
    thereto whereto hitherto heretofore thereinto hereunto whichever whatever whenever wherever whoever
    whosoever whomever whatsoever whereas whereby wherein whereupon whereafter therein thereby thereupon
    therefore themselves throughout throughput wholehearted somewhat altogether breathe seethe teethe theirs
    breakthrough breakthroughs strikethrough walkthrough passthrough drivethrough followthrough pullthrough
    """
)
_WITH = re.compile(r"with(?:in|out|dr[ae]w\w*|h[oe]ld\w*|st[ao]o?n?d\w*)")

# Words of the kind that stand beside those: what people do and what news is about.
_COMMON = _listed(
    """
    able about accept accord accuse accused across act action add adopt adopted advance affect after again
    against agree agreed aid aim aimed all allege allow allowed also always among announce announced answer
    appeal appear appoint area argue armed army arrest arrested arrive arrived ask asked assert attack attacked
    attacks attempt authorities aware back ban based battle became because become been began begin behind being
    believe between block body bomb border both break bring broke brought build burn burned call called calls
    came camp camps can carry cases cause caused ceasefire central change charge charged charges children cities
    citizens city civil civilian civilians claim claimed claims clash clashes clear close come comes commission
    commit committed communities community concern concerned condemn condemned confirm confirmed conflict
    consider continue continued control could council count countries country court crime crimes crisis cut days
    dead deal death deaths decide decided declare declared defend delay delayed deliver demand demanded demands
    deny denied deploy describe detain detained did die died discuss displaced does down during each early
    effort efforts elect elected election elections end ended ensure every evidence expect expected express
    expressed face fact failed fear fears fell few fight fighters fighting find fire first flee fled follow
    followed food for force forced forces found free from further gave general give given goal goes going
    government governments great ground group groups guards had happen has have hear heard held help her here
    highlight him his hold home homes hope hospital host hour house houses how human hundreds hunger include
    included including increase independent indicate indicated inform injured insist inside intend international
    into investigate involve issue issued its join justice keep kept kidnapped kill killed killing kills know
    known land last late launch launched law lead leader leaders leave led left less let life like local long
    look lost made mainly make making man many march mass may mean means meet meeting member members men met
    militants military militia million ministers mission month months more most move much murder must near need
    needed needs neighbours never new next night not note noted now number occur occurred off offer office
    officer officers officials once only open opposition order organisation organisations other others our out
    over own parliament part parties party passed past peace peacekeepers people peoples period persons place
    plan planned plans police political population populations post power prepare present president press
    prevent prison process promise promised propose protect protest protested protests prove provide provided
    public push put question raise raised reach reached read ready rebels recall receive recent recommend refer
    refuse refused refugees region regions reiterate reject rejected release released remain remained remains
    remind report reported reports represent request require resolution respect respond rest result results
    return returned reveal reveals right rights rose rule run said same sanctions saw say saying says school
    schools seat second secure security see seek seen send sent serve set several shall she shelling shot should
    show showed shown shows sign signed since situation small soldier soldiers some soon south speak staff stand
    start started state stated states statement stay still stop stopped stress stressed strike strikes strong
    such suffer suggest suggested suggests suicide support supported sure suspect suspects take taken talk talks
    target targeted team tell term terms test than their them then there these they thing think those thousands
    threat threaten through time today together told took torture toward town towns trade trapped treaty trial
    tribal troops try turn two under union united until urge urged urges use used victims village villages
    violence visit vote voted wage want wanted war warn warned warning warns was watch water way week weeks
    welcome welcomed well went were what when where which while who whole whose will win withdraw withdrawn
    witness woman women won word words work workers world worse worst would wounded wounds write written year
    years yet young
    """
)
_TOKEN = re.compile(r"(?<![\w'’./@-])[a-z]+(?![\w'’./@-])")


def vocabulary(text: str) -> dict[str, int]:
    """Count the lower-case words of at least four letters in a text."""
    counts: dict[str, int] = {}
    for match in _TOKEN.finditer(text):
        if len(match[0]) >= 4:
            counts[match[0]] = counts.get(match[0], 0) + 1
    return counts


def glued(text: str, known: dict[str, int]) -> Iterator[tuple[int, str, str]]:
    """Yield where a glued word starts, and its two halves. `known` is the issue's own vocabulary.

    A word that the issue uses three times is taken for a word.
    """
    for match in _TOKEN.finditer(text):
        word = match[0]
        if len(word) < 5 or word in _WHOLE or word in _COMMON or known.get(word, 0) >= 3 or _WITH.fullmatch(word):
            continue
        for cut in range(2, len(word) - 1):
            if _is_join(word[:cut], word[cut:], known):
                yield match.start(), word[:cut], word[cut:]
                break


def _is_join(left: str, right: str, known: dict[str, int]) -> bool:
    if left + right in _SHORT:
        return True
    if right in _AFTER and _is_word(left, known):
        return True
    return left in _BEFORE and _is_word(right, known)


def _is_word(part: str, known: dict[str, int]) -> bool:
    return part in _BEFORE or (len(part) >= 4 and (part in _COMMON or part in known))
