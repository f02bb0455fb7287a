"""Closed lists by which a text says whether "her" is "his" or "him"."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A noun phrase begins with none of these.
NO_NOUN_PHRASE = _words(
    "a an the this that these those my your our their its he she him her his hers himself herself"
    " it i we they you them us me one who whom whose which what when where why how if whether"
    " because since although though while until unless so and or but nor yet than as for to of"
    " in on at by with from into onto out up off over under about after before during"
    " through between against without within toward towards around across behind near along"
    " is are was were be been am has have had do does did would can could shall should"
    " may must not never always often also too very just even again then there here"
    " now today yesterday tomorrow tonight soon later already still ever once twice yes no"
    " some any each every both either neither anymore anyway anyways away instead alone"
    " together less enough something anything everything nothing someone anyone everyone nobody"
    " somebody anybody everybody somewhere anywhere everywhere nowhere"
    " till such rather upon quite much many more almost perhaps thus hence forth aside beyond below"
    " beneath beside besides above among amongst amid underneath throughout despite concerning"
    " whenever wherever whilst another otherwise afterwards beforehand somewhat forever indeed"
    " altogether therefore meanwhile moreover however upstairs downstairs straightway forthwith"
    " straight outside none myself yourself yourselves ourselves themselves itself awake asleep"
    " astray alive aware capable i'll i'm i've i'd you'll you're you've it's that's there's"
    " go come know see tell enter begin remain depart understand suffer seem seemed sat stood"
    " said came returned rushed brought looked"
)
# Nouns that are adverbs after a person ("called her back") and nouns after a preposition.
NOUN_OR_ADVERB = _words("back home right down past all well")
BEFORE_NOUNS = _words(
    "in on at by with from into onto to of for about over under behind through against toward"
    " towards because and or but that if when while as than near across around off inside upon"
    " was is were turn turns turned turning"
)
# After these a person stands, and the next noun is what the person gets, ...
GIVING = _words(
    "wish wishes wished wishing give gives gave given giving offer offers offered offering show"
    " shows showed showing lend lends lent lending provide provides provided charge charges charged"
    " tell tells told telling ask asks asked asking pay pays paid paying sell sells sold selling"
    " teach teaches taught teaching hand hands handed send sends sent sending bring brings brought"
    " buy buys bought buying cook cooks cooked bake bakes baked owe owes owed promised"
    " let lets letting bid bids bade bidding cost costs"
)
# ... unless it is somebody's own.
OWN_NOUNS = _words(
    "mother father mom dad parents parent mum pa sister brother sisters brothers son"
    " daughter sons daughters wife husband wives husbands aunt uncle niece nephew cousin cousins"
    " grandmother grandfather family child children kid kids baby friend friends girlfriend"
    " boyfriend neighbor neighbour boss colleague colleagues coworker coworkers client clients"
    " customer customers patient patients student students teacher doctor lawyer team staff"
    " partner story life name face hand hands head heart mind"
    " eyes hair body age side opinion consent own house car dog cat room phone number bill bills"
    " rent debts debt taxes fine work job company shares share services way best love respects"
    " word secret secrets thoughts ideas idea skills"
)
# After these a person stands before what is said of the person or what the person does.
MAKING = _words(
    "make makes made making keep keeps kept keeping leave leaves left leaving prove proves proved"
    " treat treats treated treating find finds found drive drives drove help helps helped helping"
    " hope hoped see sees saw seen seeing watch watches watched watching hear hears heard"
    " hearing render rendered imagine smote call calls called think thought have has had"
    " like likes liked feel feels felt"
)
SAID_OR_DONE = _words(
    "safe angry mad right wrong happy sad satisfied bad badly sick alive free warm busy calm quiet"
    " proud upset sorry crazy nervous afraid poor rich famous guilty innocent better worse more"
    " feel win move identify settle find get go do be become understand enter leave come take make"
    " see know think say tell cry laugh smile sleep eat enjoy learn fix fixed solve finish pass"
    " carry clean cook build read write speak speaking talk talking crying working walking"
    " silent helpless breathless drunk aware guilty capable certain say sit stand stop stoop sing"
    " pass suffer seem shrink sink slip murmur scream breathe lie lift give express declare"
    " reflect remain begin turn look start drink die live forget remember wish want hate love like"
)
# Words in -ly are adverbs, so no noun phrase begins with them, but for these.
NO_ADVERB = _words(
    "ally anomaly assembly belly bodily bully butterfly costly curly cuddly daily deadly deathly"
    " disorderly early elderly family fatherly fly friendly ghastly ghostly godly heavenly holy"
    " homely hourly jelly jolly july leisurely likely lily lively lonely lovely lowly manly"
    " melancholy miserly monopoly monthly motherly nightly only orderly reply scholarly silly"
    " sisterly sprightly stately supply surly tally timely ugly unfriendly unlikely wealthily"
    " burly comely earthly folly gentlemanly measly portly quarterly shapely sly slovenly uncomely"
    " unearthly unholy untimely unseemly wobbly bristly beastly dastardly niggardly princely"
    " weekly wily womanly worldly yearly beverly billy carly emily holly kelly molly polly sally"
)
# Words in -ing are what somebody does, but for these.
NO_DOING = _words(
    "king thing ring string spring wing wedding evening morning feeling building clothing sibling"
    " meaning ceiling darling lodging offspring being footing dwelling painting ring sling"
)


def noun_phrase_follows(before: str, after: str) -> bool:
    """Whether a pronoun between two (lower-case) words is a possessive; "" = no word there.

    No list tells a word from its partner in the other group, so that a text and its swapped
    form are judged alike.
    """
    if not after or after in NO_NOUN_PHRASE:
        return False
    if after in NOUN_OR_ADVERB:
        return before in BEFORE_NOUNS or not before
    if after.endswith("ly") and after not in NO_ADVERB:
        return False
    if before in GIVING:
        return after in OWN_NOUNS
    return not (before in MAKING and (after in SAID_OR_DONE or _doing(after)))


def judged_alike(word: str, other: str) -> bool:
    """Whether no list tells the two words apart.

    "his May" and "his Mark" would be read differently, so May and Mark cannot be exchanged.
    """
    lists = (NO_NOUN_PHRASE, NOUN_OR_ADVERB, BEFORE_NOUNS, GIVING, OWN_NOUNS, MAKING, SAID_OR_DONE)
    adverbs = [w.endswith("ly") and w not in NO_ADVERB for w in (word, other)]
    doing = _doing(word) == _doing(other)
    return doing and adverbs[0] == adverbs[1] and all((word in x) == (other in x) for x in lists)


def _doing(word: str) -> bool:
    return word.endswith("ing") and word not in NO_DOING
