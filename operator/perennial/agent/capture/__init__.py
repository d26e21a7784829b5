"""`perennial agent capture`: a proxy in front of the model server that records requests with their responses.

    client ⇄ [proxy] ⇄ server        forwards bytes unchanged, before they are parsed
                │ copies
             [parser]                parses both directions, pairs requests with responses
                │ exchanges
             [recorder]              bounded buffer, written to S3 by a thread

Parser and recorder cannot delay or fail a prediction. Records may be dropped, which is counted; responses never are.
"""
